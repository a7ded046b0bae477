package fabric

import (
	"testing"

	"github.com/arpfabric/arpfabric/internal/wire"
)

// TestCopies checks that one request of the host is handled once, although it is read once for each egress port, and
// that a repeated request is handled again. The host may send the same request in two VLANs.
func TestCopies(t *testing.T) {
	h := &hosts{}
	one, another := &port{}, &port{}
	for _, tt := range []struct {
		name   string
		from   *port
		by     int
		isCopy bool
	}{
		{"the first", one, 1, false},
		{"by another port", one, 2, true},
		{"by a third", one, 3, true},
		{"again, by the first", one, 1, false},
		{"again, by another", one, 2, true},
		{"in another VLAN", another, 2, false},
	} {
		if got := h.isCopy(tt.from, wire.Frame{Port: tt.by, Data: []byte("who-has 10.239.0.1")}); got != tt.isCopy {
			t.Errorf("%s: a copy: %v", tt.name, got)
		}
	}
}
