package daemon

import (
	"log/slog"
	"sync"
	"time"
)

// A clock is the machine's clock, except that it follows a jump ahead only after a while. So if the machine's clock is set to
// a wrong time, and soon right again, no allocation expires early and no freed address is given too soon. After a jump back
// both only take longer, so it follows that at once.
type clock struct {
	log  *slog.Logger
	read func() (wall time.Time, running time.Duration) // the machine's clock, and one that nobody sets

	mu      sync.Mutex // guards the fields below
	now     time.Time  // at the last look
	running time.Duration
	jumped  time.Duration // when the jump was seen that is not followed yet, by running; 0 for none
}

const (
	jumpPatience = 10 * time.Minute
	smallestJump = 10 * time.Second // less is a correction, as NTP makes them
)

func newClock(log *slog.Logger) *clock {
	started := time.Now()
	c := &clock{log: log, read: func() (time.Time, time.Duration) { return time.Now().Round(0), time.Since(started) }}
	c.now, c.running = c.read()
	return c
}

// Now returns the time.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, running := c.read()
	counted := c.now.Add(running - c.running)
	ahead := wall.Sub(counted)
	switch {
	case ahead < smallestJump:
		c.now, c.jumped = wall, 0
	case c.jumped == 0:
		c.log.Warn("the clock of this host has jumped ahead; if that is wrong, set it right: expiries follow it after a while",
			"by", ahead.Round(time.Second), "after", jumpPatience)
		c.now, c.jumped = counted, running
	case running-c.jumped < jumpPatience:
		c.now = counted
	default:
		c.now, c.jumped = wall, 0
	}
	c.running = running
	return c.now
}
