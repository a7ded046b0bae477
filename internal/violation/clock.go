package violation

import "time"

// A clock measures elapsed time, which never decreases. It is exact for times with a monotonic reading, such as those of
// time.Now, even if the machine's clock is changed. For other times, it pauses when the machine's clock is set back.
type clock struct {
	now     func() time.Time
	latest  time.Time // the last result of now
	elapsed time.Duration
	epoch   time.Time // what the machine's clock showed, or would have shown, when elapsed was 0
}

func newClock(now func() time.Time) clock {
	at := now()
	return clock{now: now, latest: at, epoch: at.Round(0)}
}

// read returns the time since the clock was made.
func (c *clock) read() time.Duration {
	now := c.now()
	c.elapsed += max(0, now.Sub(c.latest))
	c.latest = now
	return c.elapsed
}

// step is the least change of the machine's clock that counts as one. Less is the time between its two readings, of which
// a time consists.
const step = time.Second

// times returns a function that converts results of read to times of the machine's clock as it is now. The results of two
// such functions for the same time are the same, unless the machine's clock was changed in between.
func (c *clock) times() func(time.Duration) time.Time {
	c.followSteps()
	epoch := c.epoch
	return func(elapsed time.Duration) time.Time { return epoch.Add(elapsed) }
}

// elapsedAt is the inverse of times.
func (c *clock) elapsedAt(at time.Time) time.Duration {
	c.followSteps()
	return at.Sub(c.epoch)
}

func (c *clock) followSteps() {
	// Without the monotonic reading, because that does not show a change of the machine's clock.
	epoch := c.latest.Round(0).Add(-c.elapsed)
	if epoch.Sub(c.epoch).Abs() >= step {
		c.epoch = epoch
	}
}
