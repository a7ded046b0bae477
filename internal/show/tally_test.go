package show

import (
	"net/netip"
	"testing"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/responder"
)

func TestTally(t *testing.T) {
	var tally Tally
	expectText := func(want string) {
		t.Helper()
		if got := tally.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	expectText("0 events")
	tally.Add(api.Event{Action: "reply", Reason: "answered"})
	expectText("1 event: reply 1 (answered 1)")
	for _, reason := range []string{"unknown-target", "spoofed-sender", "unknown-target"} {
		tally.Add(api.Event{Action: "drop", Reason: reason})
	}
	tally.Add(api.Event{Lost: 3})
	expectText("4 events: drop 3 (unknown-target 2, spoofed-sender 1), reply 1 (answered 1); 3 were lost")
	if tally.Events() != 4 {
		t.Errorf("%d events", tally.Events())
	}
}

func TestWatching(t *testing.T) {
	networks := []api.Network{
		{Name: "lab", Mode: "vpc", Attach: "bridge br0"}, {Name: "prod", Mode: "classic", Attach: "bridge br1"},
	}
	for _, tt := range []struct {
		filter event.Filter
		want   string
	}{
		{event.Filter{}, "lab (vpc on bridge br0), prod (classic on bridge br1)"},
		{event.Filter{Networks: []string{"prod"}}, "prod (classic on bridge br1)"},
		{
			event.Filter{
				Networks: []string{"lab"}, Ports: []string{"vnet1", "vnet2"}, Addresses: []netip.Addr{netip.MustParseAddr("10.239.0.1")},
				Reasons: []responder.Reason{responder.Answered}, Actions: []responder.Action{responder.Reply},
			},
			"lab (vpc on bridge br0), port vnet1 or vnet2, address 10.239.0.1, reason answered, action reply",
		},
	} {
		if got := Watching(networks, tt.filter); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
