package responder_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/arpfabric/arpfabric/responder"
)

// TestReasons pins the spelling of every reason: metrics, events and scripts rely on it.
func TestReasons(t *testing.T) {
	want := []string{
		"not-arp", "malformed", "unexpected-vlan", "unsupported-operation", "rate-limited", "invalid-sender-mac",
		"sender-mac-mismatch", "invalid-sender-ip", "unregistered-sender", "spoofed-sender", "guest-reply",
		"announcement", "host-address", "unknown-target", "unallocated-probe", "self-probe", "conflict-probe",
		"answered",
		"rarp-announcement", "unregistered-mac", "ipv6", "unsupported-ethertype", "dhcp-client",
		"unregistered-source", "spoofed-source", "group-destination", "unknown-destination", "admitted",
	}
	var got []string
	for r := range responder.NumReasons {
		if r > 0 {
			got = append(got, responder.Reason(r).String())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	for reason, want := range map[responder.Reason]string{0: "Reason(0)", 29: "Reason(29)", 255: "Reason(255)"} {
		if got := reason.String(); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}

func TestActions(t *testing.T) {
	for action, want := range map[responder.Action]string{drop: "drop", reply: "reply", pass: "pass", 9: "Action(9)"} {
		if got := action.String(); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
	if v := (responder.Verdict{}); v.Action != drop {
		t.Errorf("the zero verdict lets a frame %s", v.Action)
	}
}

func TestParseMAC(t *testing.T) {
	want := responder.MAC{0x02, 0x00, 0x06, 0xde, 0x54, 0xa8}
	for _, s := range []string{"02:00:06:de:54:a8", "02:00:06:DE:54:A8", "02-00-06-de-54-a8", "0200.06de.54a8"} {
		if got, err := responder.ParseMAC(s); err != nil || got != want {
			t.Errorf("ParseMAC(%q) is %s, %v; want %s", s, got, err, want)
		}
	}
	wrong := []string{
		"", "02:00:06:de:54", "02:00:06:de:54:a8:00", "02:00:06:de:54:a8:00:00", "0200.06de.54a8.0000",
		"0:0:6:de:54:a8", "02:00:06:de:54:ag", " 02:00:06:de:54:a8", "10.239.0.1",
		"00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01",
	}
	for _, s := range wrong {
		got, err := responder.ParseMAC(s)
		if err == nil || !strings.Contains(err.Error(), "02:00:06:de:54:a8") {
			t.Errorf("ParseMAC(%q) is %s, %v; want an error that shows how to write one", s, got, err)
		}
	}
}

func TestMAC(t *testing.T) {
	tests := []struct {
		mac     responder.MAC
		unicast bool
		want    string
	}{
		{responder.MAC{0x02, 0x00, 0x06, 0xde, 0x54, 0xa8}, true, "02:00:06:de:54:a8"},
		{responder.MAC{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff}, true, "fe:ff:ff:ff:ff:ff"},
		{responder.MAC{0x00, 0x00, 0x00, 0x00, 0x00, 0x01}, true, "00:00:00:00:00:01"},
		{responder.MAC{}, false, "00:00:00:00:00:00"},
		{responder.MAC{0x01}, false, "01:00:00:00:00:00"},
		{responder.MAC{0x33, 0x33, 0x00, 0x00, 0x00, 0x01}, false, "33:33:00:00:00:01"},
		{broadcast, false, "ff:ff:ff:ff:ff:ff"},
	}
	for _, tt := range tests {
		if got := tt.mac.IsUnicast(); got != tt.unicast {
			t.Errorf("%s: IsUnicast is %v", tt.mac, got)
		}
		if got := tt.mac.String(); got != tt.want {
			t.Errorf("%q; want %q", got, tt.want)
		}
	}
}
