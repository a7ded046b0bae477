package lab

import (
	"sync"
	"time"
)

// Shout sends the frames over and over, all of them every millisecond, until the function it returns is
// called. It goes on when a frame can't leave, because eth0 is down or its other end is gone.
func (c *Capture) Shout(frames ...[]byte) (stop func()) {
	stopped := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		pause := time.NewTicker(time.Millisecond)
		defer pause.Stop()
		for {
			for _, frame := range frames {
				c.Send(frame)
			}
			select {
			case <-stopped:
				return
			case <-pause.C:
			}
		}
	})
	return sync.OnceFunc(func() {
		close(stopped)
		running.Wait()
	})
}
