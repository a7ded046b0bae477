package responder_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// TestReasons pins the number and the spelling of each reason, because metrics, events and scripts depend on them.
func TestReasons(t *testing.T) {
	want := map[responder.Reason]string{
		1: "not-arp", 2: "malformed", 3: "unexpected-vlan", 4: "unsupported-operation", 5: "rate-limited",
		6: "invalid-sender-mac", 7: "sender-mac-mismatch", 8: "invalid-sender-ip", 9: "unregistered-sender",
		10: "spoofed-sender", 11: "guest-reply", 12: "announcement", 13: "host-address", 14: "unknown-target",
		15: "unallocated-probe", 16: "self-probe", 17: "conflict-probe", 18: "answered", 19: "not-holder",
		64: "rarp-announcement", 65: "unregistered-mac", 66: "ipv6", 67: "unsupported-ethertype", 68: "dhcp-client",
		69: "unregistered-source", 70: "spoofed-source", 71: "group-destination", 72: "unknown-destination", 73: "admitted",
		74: "foreign-destination", 75: "invalid-dhcp", 76: "misplaced-checksum",
	}
	got := map[responder.Reason]string{}
	last := responder.Reason(0)
	for r := range responder.Reasons() {
		got[r] = r.String()
		if r <= last || int(r) >= responder.NumReasons {
			t.Errorf("%d comes after %d, with NumReasons %d", r, last, responder.NumReasons)
		}
		last = r
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	for reason, want := range map[responder.Reason]string{0: "Reason(0)", 20: "Reason(20)", 77: "Reason(77)", 255: "Reason(255)"} {
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
	want := registry.MAC{0x02, 0x00, 0x06, 0xde, 0x54, 0xa8}
	for _, s := range []string{"02:00:06:de:54:a8", "02:00:06:DE:54:A8", "02-00-06-de-54-a8", "0200.06de.54a8"} {
		if got, err := registry.ParseMAC(s); err != nil || got != want {
			t.Errorf("ParseMAC(%q) is %s, %v; want %s", s, got, err, want)
		}
	}
	wrong := []string{
		"", "02:00:06:de:54", "02:00:06:de:54:a8:00", "02:00:06:de:54:a8:00:00", "0200.06de.54a8.0000",
		"0:0:6:de:54:a8", "02:00:06:de:54:ag", " 02:00:06:de:54:a8", "10.239.0.1",
		"00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01",
	}
	for _, s := range wrong {
		got, err := registry.ParseMAC(s)
		if err == nil || !strings.Contains(err.Error(), "02:00:06:de:54:a8") {
			t.Errorf("ParseMAC(%q) is %s, %v; want an error that shows how to write one", s, got, err)
		}
	}
}

func TestMAC(t *testing.T) {
	tests := []struct {
		mac     registry.MAC
		unicast bool
		want    string
	}{
		{registry.MAC{0x02, 0x00, 0x06, 0xde, 0x54, 0xa8}, true, "02:00:06:de:54:a8"},
		{registry.MAC{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff}, true, "fe:ff:ff:ff:ff:ff"},
		{registry.MAC{0x00, 0x00, 0x00, 0x00, 0x00, 0x01}, true, "00:00:00:00:00:01"},
		{registry.MAC{}, false, "00:00:00:00:00:00"},
		{registry.MAC{0x01}, false, "01:00:00:00:00:00"},
		{registry.MAC{0x33, 0x33, 0x00, 0x00, 0x00, 0x01}, false, "33:33:00:00:00:01"},
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
