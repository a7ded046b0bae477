package fabric

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Alive returns nil when the fabric has been seen to go on: it follows the interfaces, and each line waits for
// frames, or has answered those that it was busy with. What is still stuck when ctx ends is the error.
func (f *Fabric) Alive(ctx context.Context) error {
	select {
	case f.turns <- struct{}{}:
	case <-ctx.Done():
		return errors.New("the interfaces are not followed any more")
	}
	for _, l := range *f.serving.Load() {
		if err := l.goesOn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// goesOn returns nil when the line waits for frames, or has come to other ones than it has now.
func (l *line) goesOn(ctx context.Context) error {
	const pause = 10 * time.Millisecond
	turn := l.turns.Load()
	for turn%2 == 1 && l.turns.Load() == turn && !l.closed.Load() {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("frames are not answered any more (after %d turns)", turn)
		}
	}
	return nil
}
