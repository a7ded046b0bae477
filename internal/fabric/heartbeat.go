package fabric

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Alive waits until the fabric has made progress, and then returns nil: the loop has received a heartbeat, and each
// server waits for frames or has finished the batch that it was busy with. If ctx ends first, the error says which of
// them is stuck.
func (f *Fabric) Alive(ctx context.Context) error {
	select {
	case f.heartbeat <- struct{}{}:
	case <-ctx.Done():
		return errors.New("the loop is stuck: changes of interfaces have no effect")
	}
	for _, s := range *f.serving.Load() {
		if err := s.waitForProgress(ctx); err != nil {
			return err
		}
	}
	return nil
}

// waitForProgress returns nil when the server waits for frames, or has finished its current batch.
func (s *connServer) waitForProgress(ctx context.Context) error {
	const pause = 10 * time.Millisecond
	seq := s.loopSeq.Load()
	for seq%2 == 1 && s.loopSeq.Load() == seq && !s.closed.Load() {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("a server is stuck at batch %d: its frames are not answered", seq)
		}
	}
	return nil
}
