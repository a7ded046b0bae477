package responder_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
)

func TestWriteAnnouncement(t *testing.T) {
	out := bytes.Repeat([]byte{0xee}, responder.MinFrameLen+1)
	n := responder.WriteAnnouncement(out, netip.MustParseAddr("10.239.0.1"), responder.MAC{0x02, 0, 0, 0xde, 0x54, 0xa8})
	want := "ffffffffffff 020000de54a8 0806" + // Ethernet
		"0001 0800 06 04 0001" + // request
		"020000de54a8 0aef0001" + "000000000000 0aef0001" + strings.Repeat("00", 18)
	want = strings.ReplaceAll(want, " ", "")
	if got := hex.EncodeToString(out[:n]); got != want {
		t.Errorf("the frame is\n%s, want\n%s", got, want)
	}
	if out[n] != 0xee {
		t.Error("written beyond the frame")
	}
}
