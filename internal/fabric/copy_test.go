package fabric

import (
	"testing"

	"github.com/arpfabric/arpfabric/internal/wire"
)

// TestCopies holds that what the host asks once is dealt with once, however many ports it was to leave by, and what it
// asks twice, twice. In two VLANs it may ask the same, from the same address.
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
