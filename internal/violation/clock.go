package violation

import "time"

// A clock tells how much time has gone by, which is never less than before. Times that carry a monotonic
// reading, as those of time.Now do, are right whatever is done to the machine's clock; without one, a clock that
// is set back stands still for a moment.
type clock struct {
	now     func() time.Time
	latest  time.Time // that now returned
	elapsed time.Duration
}

func newClock(now func() time.Time) clock { return clock{now: now, latest: now()} }

// read returns how much time has gone by since the clock was made.
func (c *clock) read() time.Duration {
	now := c.now()
	c.elapsed += max(0, now.Sub(c.latest))
	c.latest = now
	return c.elapsed
}
