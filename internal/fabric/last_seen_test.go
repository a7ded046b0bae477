package fabric_test

import (
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// TestLastSeen checks when ports were last seen: by a frame that the guard lets pass, so that the fabric does not see it.
func TestLastSeen(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, network(s.attach))
	f.expectPort(t, s.app.Port)
	seen := func(port string) time.Time {
		for _, c := range f.Counts() {
			if c.Port == port {
				return c.LastSeen
			}
		}
		t.Fatalf("there is no port %s", port)
		return time.Time{}
	}
	before := time.Now()
	labtest.Eventually(t, "app is seen", func() bool {
		s.app.send(t, packet{to: s.db.MAC, from: s.app.MAC, src: appAddr, dst: dbAddr}.frame())
		return seen(s.app.Port).After(before)
	})
	at := seen(s.app.Port)
	if got := seen(s.app.Port); !got.Equal(at) || !seen(s.idle.Port).IsZero() || !seen(bridgeName).IsZero() {
		t.Errorf("app was seen at %v, and then at %v; idle at %v, the host at %v", at, got, seen(s.idle.Port), seen(bridgeName))
	}
}
