package daemon

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

// pass lets time pass, by which the machine's clock may also be set.
func (c *clock) pass(d, set time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	read := c.read
	c.read = func() (time.Time, time.Duration) {
		wall, running := read()
		return wall.Add(d + set), running + d
	}
}

func TestClock(t *testing.T) {
	var log strings.Builder
	c := newClock(slog.New(slog.NewTextHandler(&log, nil)))
	start := c.Now()
	for i, step := range []struct{ pass, set, want time.Duration }{
		{time.Hour, 0, time.Hour},
		{time.Minute, 5 * time.Second, time.Hour + time.Minute}, // a correction
		{0, 24 * time.Hour, time.Hour + time.Minute},            // a mistake
		{time.Minute, 0, time.Hour + 2*time.Minute},
		{time.Minute, -24 * time.Hour, time.Hour + 3*time.Minute}, // repaired
		{time.Hour, 0, 2*time.Hour + 3*time.Minute},
		{0, time.Hour, 2*time.Hour + 3*time.Minute},                   // a correction, which stays
		{jumpPatience, 0, 3*time.Hour + 3*time.Minute + jumpPatience}, // followed
		{0, -time.Hour, 2*time.Hour + 3*time.Minute + jumpPatience},
	} {
		c.pass(step.pass, step.set)
		if got := c.Now().Sub(start); (got - step.want).Abs() > time.Minute/2 {
			t.Errorf("step %d: %v later, want %v", i, got, step.want)
		}
	}
	if n := strings.Count(log.String(), "the clock of this host has jumped ahead"); n != 2 {
		t.Errorf("%d jumps are in the log, want 2:\n%s", n, &log)
	}
}
