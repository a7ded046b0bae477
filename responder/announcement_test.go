package responder_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

func TestWriteAnnouncement(t *testing.T) { testWrite(t, responder.WriteAnnouncement, "0aef0001") }

func TestWriteProbe(t *testing.T) { testWrite(t, responder.WriteProbe, "00000000") }

func testWrite(t *testing.T, write func([]byte, netip.Addr, registry.MAC) int, sender string) {
	t.Helper()
	out := bytes.Repeat([]byte{0xee}, responder.MinFrameLen+1)
	n := write(out, netip.MustParseAddr("10.239.0.1"), registry.MAC{0x02, 0, 0, 0xde, 0x54, 0xa8})
	want := "ffffffffffff 020000de54a8 0806" + // Ethernet
		"0001 0800 06 04 0001" + // request
		"020000de54a8" + sender + "000000000000 0aef0001" + strings.Repeat("00", 18)
	want = strings.ReplaceAll(want, " ", "")
	if got := hex.EncodeToString(out[:n]); got != want {
		t.Errorf("the frame is\n%s, want\n%s", got, want)
	}
	if out[n] != 0xee {
		t.Error("written beyond the frame")
	}
}
