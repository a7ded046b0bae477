package fabric

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestServerProgress(t *testing.T) {
	tests := []struct {
		name string
		seq  uint64 // at first
		then func(s *connServer)
		want bool
	}{
		{"waits", 4, func(*connServer) {}, true},
		{"answers and waits", 5, func(s *connServer) { s.loopSeq.Add(1) }, true},
		{"answers and answers again", 5, func(s *connServer) { s.loopSeq.Add(2) }, true},
		{"is closed", 5, func(s *connServer) { s.closed.Store(true) }, true},
		{"is stuck", 5, func(*connServer) {}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				var s connServer
				s.loopSeq.Store(tt.seq)
				time.AfterFunc(time.Second/2, func() { tt.then(&s) })
				if err := s.waitForProgress(ctx); (err == nil) != tt.want {
					t.Errorf("%v, want nil: %t", err, tt.want)
				}
			})
		})
	}
}

func TestAliveWithoutLoop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Fabric{}).Alive(ctx); err == nil || err.Error() != "the loop is stuck: changes of interfaces have no effect" {
		t.Errorf("alive without a start: %v", err)
	}
}
