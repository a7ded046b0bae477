package reload

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arpfabric/arpfabric/internal/filewatch"
	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// inBubble runs a test with a clock of its own. That begins long after the files of the test were written.
func inBubble(t *testing.T, test func(t *testing.T)) {
	later := time.Now().Add(24 * time.Hour).Round(0) // without this clock's monotonic reading
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(later))
		test(t)
	})
}

// A source is where a watcher hears what the test says.
type source struct {
	events chan fsnotify.Event
	errors chan error
}

func newSource() *source {
	return &source{make(chan fsnotify.Event), make(chan error)}
}

func (s *source) watcher(poll time.Duration) *filewatch.Watcher {
	return &filewatch.Watcher{Events: s.events, Errors: s.errors, Poll: poll, Quiet: quiet}
}

func (s *source) event() { s.events <- fsnotify.Event{} }

// newStageWith is a stage with one binding in force, whose watcher hears of the source's events and of no others.
func newStageWith(t *testing.T, events *source, poll time.Duration) *stage {
	t.Helper()
	s := newStage(t)
	s.watcher = func() *filewatch.Watcher { return events.watcher(poll) }
	s.write("lab.yaml", yamlWith(1))
	s.start()
	return s
}

// expectApplied expects the configurations with these numbers of bindings to have been applied since it was last
// called, and no others.
func (s *stage) expectApplied(want ...int) {
	s.t.Helper()
	synctest.Wait()
	var got []int
	for len(s.applied) > 0 {
		got = append(got, <-s.applied)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("configurations with %d bindings were applied, want %d; the log:\n%s", got, want, s.logged())
	}
}

func TestBurstIsOneReload(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		events := newSource()
		s := newStageWith(t, events, never)
		for n := 2; n <= 5; n++ {
			s.write("lab.yaml", yamlWith(n))
			events.event()
			time.Sleep(quiet - time.Millisecond)
		}
		s.expectApplied()
		time.Sleep(time.Millisecond)
		s.expectApplied(5)
		time.Sleep(2 * filewatch.Longest)
		s.expectApplied()
	})
}

func TestLongBurstCounts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		events := newSource()
		s := newStageWith(t, events, never)
		s.write("lab.yaml", yamlWith(2))
		for began := time.Now(); time.Since(began) < filewatch.Longest; time.Sleep(quiet / 2) {
			s.expectApplied()
			events.event()
		}
		s.expectApplied(2)
	})
}

// TestPoll has no events at all.
func TestPoll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newStageWith(t, newSource(), filewatch.Poll)
		s.write("lab.yaml", yamlWith(2))
		time.Sleep(filewatch.Poll)
		s.expectApplied(2)
	})
}

func TestLostEvents(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		events := newSource()
		s := newStageWith(t, events, never)
		s.write("lab.yaml", yamlWith(2))
		events.errors <- fsnotify.ErrEventOverflow
		time.Sleep(quiet)
		s.expectApplied(2)
	})
}

func TestSameContentIsNoReload(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		events := newSource()
		s := newStageWith(t, events, filewatch.Poll)
		s.write("lab.yaml", yamlWith(1))
		events.event()
		time.Sleep(time.Minute)
		s.write("next", yamlWith(1))
		s.rename("next", "lab.yaml")
		events.event()
		time.Sleep(time.Minute)
		s.expectApplied()
		if notes := s.noted(); len(notes) > 0 {
			t.Errorf("reloads: %q", notes)
		}
		s.signals <- unix.SIGHUP
		s.expectApplied(1)
	})
}

// TestFailureIsNotTriedAgain expects no second try before the file has changed, and one when it is as it was at first.
func TestFailureIsNotTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newStageWith(t, newSource(), filewatch.Poll)
		s.write("lab.yaml", yamlWith(2)[:60])
		time.Sleep(time.Minute)
		if n := s.reloader.Status().Failures; n != 1 {
			t.Errorf("%d reloads failed, want one:\n%s", n, s.logged())
		}
		s.write("lab.yaml", yamlWith(1))
		time.Sleep(time.Minute)
		s.expectApplied(1)
	})
}

// expectLooks expects what the file holds to have been compared so often.
func (s *stage) expectLooks(want int32, when string) {
	s.t.Helper()
	time.Sleep(quiet)
	synctest.Wait()
	if got := s.looks.Load(); got != want {
		s.t.Errorf("%s: compared %d times, want %d", when, got, want)
	}
}

// TestEventOfAnotherFile expects no file to be read that is as it was: the folder may be busy, and the file large.
func TestEventOfAnotherFile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		events := newSource()
		s := newStageWith(t, events, never)
		s.expectLooks(1, "at the start")
		events.event()
		s.expectLooks(1, "nothing has changed")
		s.write("next", yamlWith(1))
		s.rename("next", "lab.yaml")
		events.event()
		s.expectLooks(2, "the file was written")
		events.event()
		s.expectLooks(2, "nothing has changed since")
	})
}

// TestEventOfARecentFile has a clock by which the file was written just now: another change of it may have the same
// time, so the event may be of that.
func TestEventOfARecentFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := newSource()
		s := newStageWith(t, events, never)
		s.expectLooks(1, "at the start")
		events.event()
		s.expectLooks(2, "after an event")
	})
}
