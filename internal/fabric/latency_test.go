package fabric

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLatency(t *testing.T) {
	f := &Fabric{}
	f.latency.add(1, 0)
	f.latency.add(2, 5*time.Microsecond)
	f.latency.add(3, 5*time.Microsecond+1)
	f.latency.add(64, 999*time.Millisecond)
	f.latency.add(5, time.Hour)
	want := Latency{
		Bounds: latencyBounds[:],
		Counts: []uint64{0: 3, 1: 3, 12: 64, 13: 5},
		Sum:    25*time.Microsecond + 3 + 64*999*time.Millisecond + 5*time.Hour,
	}
	if diff := cmp.Diff(want, f.Latency()); diff != "" {
		t.Errorf("Latency (-want +got):\n%s", diff)
	}
}
