package labtest

import (
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab"
)

// SendRepeatedly sends all the frames every millisecond, from the interface that c captures on, until stop is called.
// It continues when a frame cannot leave because the interface is down or its peer is gone.
func SendRepeatedly(c *lab.Capture, frames ...[]byte) (stop func()) {
	stopped := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		pause := time.NewTicker(time.Millisecond)
		defer pause.Stop()
		for {
			for _, frame := range frames {
				_ = c.Send(frame)
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
