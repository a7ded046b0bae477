package fabric

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestLineGoesOn(t *testing.T) {
	tests := []struct {
		name  string
		turns uint64 // at first
		then  func(l *line)
		want  bool
	}{
		{"waits", 4, func(*line) {}, true},
		{"answers and waits", 5, func(l *line) { l.turns.Add(1) }, true},
		{"answers and answers again", 5, func(l *line) { l.turns.Add(2) }, true},
		{"is closed", 5, func(l *line) { l.closed.Store(true) }, true},
		{"is stuck", 5, func(*line) {}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				var l line
				l.turns.Store(tt.turns)
				time.AfterFunc(time.Second/2, func() { tt.then(&l) })
				if err := l.goesOn(ctx); (err == nil) != tt.want {
					t.Errorf("%v, want nil: %t", err, tt.want)
				}
			})
		})
	}
}

func TestAliveWantsSomebodyToFollow(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Fabric{}).Alive(ctx); err == nil || err.Error() != "the interfaces are not followed any more" {
		t.Errorf("alive without a start: %v", err)
	}
}
