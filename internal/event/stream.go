package event

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Stream takes events to those who listen. The zero Stream is ready. It may be used from several goroutines at once.
type Stream struct {
	mu        sync.Mutex // held to change who listens
	listeners atomic.Pointer[[]*Listener]
}

// IsHeard reports whether anybody listens.
func (s *Stream) IsHeard() bool { return s.listeners.Load() != nil }

// Publish gives a copy of e to all who want it. It does not wait for them and allocates nothing.
func (s *Stream) Publish(e *Event) {
	listeners := s.listeners.Load()
	if listeners == nil {
		return
	}
	for _, l := range *listeners {
		if l.filter.fits(e) {
			l.put(e)
		}
	}
}

// Listen returns a Listener for what fits a filter, which has room for so many events.
func (s *Stream) Listen(f Filter, room int) *Listener {
	l := &Listener{stream: s, filter: f, ring: make([]Event, room)}
	s.change(func(all []*Listener) []*Listener { return append(all, l) })
	return l
}

func (s *Stream) change(to func([]*Listener) []*Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Listener
	if now := s.listeners.Load(); now != nil {
		all = slices.Clone(*now)
	}
	if all = to(all); len(all) > 0 {
		s.listeners.Store(&all)
	} else {
		s.listeners.Store(nil)
	}
}

// A Listener has the events since it was last asked, as far as it has room for them.
type Listener struct {
	stream *Stream
	filter Filter

	mu    sync.Mutex
	ring  []Event
	first int // index of the oldest
	count int
	lost  uint64
}

// put keeps the event, or counts it as lost where the ring is full: what is taken next is then without a gap.
func (l *Listener) put(e *Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == len(l.ring) {
		l.lost++
		return
	}
	l.ring[(l.first+l.count)%len(l.ring)] = *e
	l.count++
}

// Take moves the oldest events into a slice and returns how many, and how many were lost since it was last called.
func (l *Listener) Take(into []Event) (n int, lost uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n = 0; n < len(into) && l.count > 0; n++ {
		into[n] = l.ring[l.first]
		l.first = (l.first + 1) % len(l.ring)
		l.count--
	}
	lost, l.lost = l.lost, 0
	return n, lost
}

// Close ends the listening.
func (l *Listener) Close() {
	l.stream.change(func(all []*Listener) []*Listener {
		return slices.DeleteFunc(all, func(other *Listener) bool { return other == l })
	})
}
