package fabric_test

import (
	"os/exec"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
)

// TestTamperedGuard has somebody let frames through by hand, while app sends what nobody may hear: the table is put
// right, and then nobody does.
func TestTamperedGuard(t *testing.T) {
	lab.NeedProgram(t, "nft")
	s := build(t, onBridge)
	start(t, network(s.attach, "policy: {guard: full}"))
	forged := mark(s.app, s.idle, 7)
	copy(forged[26:30], freeAddr.AsSlice()) // the source address
	request := s.app.request(dbAddr).Frame()
	stop := s.app.Shout(forged, request)
	defer stop()
	heard := func() int {
		n := 0
		for _, frame := range s.idle.arrived() {
			if slices.Equal(frame, forged) || slices.Equal(frame, request) {
				n++
			}
		}
		return n
	}
	tests := []struct{ damage, where string }{
		{"add element bridge arpfabric bindings_lab { 02:00:06:de:54:a8 . 10.239.0.200 }", "set bridge arpfabric bindings_lab"},
		{"insert rule bridge arpfabric guest_lab accept", "chain bridge arpfabric guest_lab"},
		{"insert rule bridge arpfabric arp_lab accept", "chain bridge arpfabric arp_lab"},
		{"delete element bridge arpfabric guests { vnet1 }", "set bridge arpfabric guests"},
		{"delete element bridge arpfabric ports { vnet1 }", "map bridge arpfabric ports"},
		{"flush chain bridge arpfabric refuse", "chain bridge arpfabric refuse"},
	}
	for _, tt := range tests {
		t.Run(tt.damage, func(t *testing.T) {
			intact := nft(t, "-s", "list", tt.where)
			nft(t, tt.damage)
			lab.Eventually(t, "the table is put right", func() bool { return nft(t, "-s", "list", tt.where) == intact })
			lab.Eventually(t, "idle no longer hears app", func() bool {
				n := heard()
				answered := len(s.app.answers())
				lab.Eventually(t, "app is answered", func() bool { return len(s.app.answers()) > answered+5 })
				return heard() == n
			})
		})
	}
}

// nft runs nft and returns what it writes.
func nft(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("nft", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %q: %v: %s", args, err, out)
	}
	return string(out)
}
