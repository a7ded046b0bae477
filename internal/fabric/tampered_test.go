package fabric_test

import (
	"os/exec"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// TestTamperedGuard changes the table so that it lets frames through, while app sends frames that no guest may receive.
// The fabric repairs the table, and then no guest receives them.
func TestTamperedGuard(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	s := build(t, onBridge)
	start(t, network(s.attach, "policy: {guard: full}"))
	forged := mark(s.app, s.idle, 7)
	copy(forged[26:30], freeAddr.AsSlice()) // the source address
	request := s.app.request(dbAddr).Frame()
	stop := labtest.SendRepeatedly(s.app.Capture, forged, request)
	defer stop()
	heard := func() int {
		n := 0
		for _, frame := range s.idle.received() {
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
			intact := runNFT(t, "-s", "list", tt.where)
			runNFT(t, tt.damage)
			labtest.Eventually(t, "the table is put right", func() bool { return runNFT(t, "-s", "list", tt.where) == intact })
			labtest.Eventually(t, "idle no longer receives app's ARP", func() bool {
				n := heard()
				answered := len(s.app.answers())
				labtest.Eventually(t, "app is answered", func() bool { return len(s.app.answers()) > answered+5 })
				return heard() == n
			})
		})
	}
}

// runNFT runs nft and returns what it writes.
func runNFT(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("nft", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %q: %v: %s", args, err, out)
	}
	return string(out)
}
