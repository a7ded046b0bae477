package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/importer"
)

// State is what a source has, and how it was last read.
type State struct {
	Leases   []importer.Lease   // that have not ended, sorted by address; no address is there twice
	LeftOut  []importer.LeftOut // entries that are no bindings though somebody will miss them
	Read     time.Time          // when it was last read as a whole; the zero Time for never
	Err      error              // why the last reading failed; nil if it succeeded
	FailedAt time.Time          // when it began to fail; the zero Time if the last reading succeeded
}

// Source follows one source of the configuration.
type Source struct {
	config.Source
	log    *slog.Logger
	follow follower

	mu    sync.Mutex
	state State
}

// A follower reads something, and knows when to read it again.
type follower interface {
	// read returns what is there at a time, no address twice. The error of leases without a single byte is importer.ErrEmpty.
	read(ctx context.Context, now time.Time) ([]importer.Lease, []importer.LeftOut, error)
	// wait waits until it is time to read again, or until something comes from ends: then it returns false. The error is
	// that of ctx, which has ended.
	wait(ctx context.Context, ends <-chan time.Time) (readAgain bool, err error)
	close()
}

// Open makes a Source, and reads it once. Close it, or Run it.
func Open(ctx context.Context, c config.Source, log *slog.Logger) *Source {
	s := &Source{Source: c, log: log.With("source", c.String()), follow: newFollower(c)}
	s.read(ctx)
	return s
}

func newFollower(c config.Source) follower {
	if c.Kind == config.Docker {
		return newDockerNetwork(c)
	}
	return newLeaseFile(c)
}

// Close ends a Source that does not run.
func (s *Source) Close() { s.follow.close() }

// State returns the state as it is now. It may be called from several goroutines at once.
func (s *Source) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Run follows the source until ctx ends, and calls changed after each change of its state. Then it closes the source.
func (s *Source) Run(ctx context.Context, changed func()) {
	defer s.Close()
	for {
		readAgain, err := s.follow.wait(ctx, time.After(s.nextEnd()))
		switch {
		case err != nil:
			return
		case readAgain && s.read(ctx), !readAgain && s.endLeases(time.Now()):
			changed()
		}
	}
}

// maxWait is the longest time between two looks at the clock, which may be set.
const maxWait = time.Minute

// nextEnd returns how long no lease ends.
func (s *Source) nextEnd() time.Duration {
	next := maxWait
	for _, lease := range s.State().Leases {
		if !lease.Expires.IsZero() {
			next = min(next, time.Until(lease.Expires))
		}
	}
	return max(0, next)
}

// read reads the source, and reports whether its state has changed.
func (s *Source) read(ctx context.Context) bool {
	now := time.Now()
	ended := s.endLeases(now)
	leases, leftOut, err := s.follow.read(ctx, now)
	if ctx.Err() != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := len(s.state.Leases)
	if errors.Is(err, importer.ErrEmpty) {
		if err = nil; known > 0 {
			err = fmt.Errorf("%w, and a server that can't write it leaves it so", importer.ErrEmpty)
		}
	}
	if err != nil {
		return s.failed(now, err) || ended
	}
	if s.state.Err != nil {
		s.log.Info("the source of bindings can be read again", "bindings", len(leases))
	}
	before := s.state
	s.state = State{Leases: leases, LeftOut: unexpected(leftOut), Read: now}
	return ended || before.Err != nil || before.Read.IsZero() ||
		!slices.EqualFunc(before.Leases, leases, isSame) || !slices.Equal(before.LeftOut, s.state.LeftOut)
}

// failed records an error, and reports whether it is new. What was known stays.
func (s *Source) failed(now time.Time, err error) bool {
	before := s.state.Err
	s.state.Err = err
	if s.state.FailedAt.IsZero() {
		s.state.FailedAt = now
	}
	if before != nil && before.Error() == err.Error() {
		return false
	}
	s.log.Warn("a source of bindings can't be read; what was known stays in force, each lease until its end",
		"bindings", len(s.state.Leases), "error", err)
	return true
}

// endLeases removes the leases that have ended, and reports whether there were any.
func (s *Source) endLeases(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.state.Leases)
	// A new slice: others may hold the one before.
	s.state.Leases = slices.DeleteFunc(slices.Clone(s.state.Leases), func(l importer.Lease) bool {
		return !l.Expires.IsZero() && !l.Expires.After(now)
	})
	return len(s.state.Leases) < before
}

func isSame(a, b importer.Lease) bool {
	return a.First == b.First && a.MAC == b.MAC && a.Name == b.Name && a.Origin == b.Origin && a.Expires.Equal(b.Expires)
}

func unexpected(all []importer.LeftOut) []importer.LeftOut {
	return slices.DeleteFunc(all, func(l importer.LeftOut) bool { return l.Expected })
}
