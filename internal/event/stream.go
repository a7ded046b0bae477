package event

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Stream delivers events to listeners, and keeps the last ones for listeners to come. The zero Stream is ready for use. Its
// methods may be called from several goroutines at once.
type Stream struct {
	mu        sync.Mutex // held to change the listeners
	listeners atomic.Pointer[[]*Listener]

	// OnHeard, unless nil, is called when there is a first listener, and when there is none any more. It must be set before
	// the first Listen, and must not use the Stream.
	OnHeard func(isHeard bool)

	history history
}

// MaxLast is the number of events that a Stream keeps.
const MaxLast = 100

// A history has the last events.
type history struct {
	mu     sync.Mutex // locked before Stream.mu
	events [MaxLast]Event
	count  int // of all events that were published
}

// IsHeard reports whether there is a listener.
func (s *Stream) IsHeard() bool { return s.listeners.Load() != nil }

// Publish keeps a copy of e, and gives one to each listener whose filter matches. It never blocks for long, and allocates no
// memory.
func (s *Stream) Publish(e *Event) {
	for _, l := range s.keep(e) {
		if l.filter.fits(e) {
			l.put(e)
		}
	}
}

// keep adds an event to the history, and returns the listeners of that moment. Later listeners find it in the history.
func (s *Stream) keep(e *Event) []*Listener {
	s.history.mu.Lock()
	defer s.history.mu.Unlock()
	s.history.events[s.history.count%MaxLast] = *e
	s.history.count++
	if now := s.listeners.Load(); now != nil {
		return *now
	}
	return nil
}

// last returns the last events that match a filter, at most limit, the oldest first.
func (h *history) last(f *Filter, limit int) []Event {
	var found []Event
	for i := h.count - 1; i >= 0 && i >= h.count-MaxLast && len(found) < limit; i-- {
		if e := &h.events[i%MaxLast]; f.fits(e) {
			found = append(found, *e)
		}
	}
	slices.Reverse(found)
	return found
}

// Listen returns a Listener for the events that match a filter. It holds up to capacity events, and begins with the last
// ones that were published before, at most last, with IsEarlier set. The caller must close it.
func (s *Stream) Listen(f Filter, capacity, last int) *Listener {
	l := &Listener{stream: s, filter: f, ring: make([]Event, capacity)}
	s.history.mu.Lock()
	defer s.history.mu.Unlock() // with the new listener in place, so that no event is missing or comes twice
	l.count = copy(l.ring, s.history.last(&f, min(last, capacity)))
	for i := range l.ring[:l.count] {
		l.ring[i].IsEarlier = true
	}
	s.change(func(all []*Listener) []*Listener { return append(all, l) })
	return l
}

// change replaces the slice and does not edit it, because Publish reads it without the mutex.
func (s *Stream) change(to func([]*Listener) []*Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Listener
	if now := s.listeners.Load(); now != nil {
		all = slices.Clone(*now)
	}
	wasHeard := len(all) > 0
	if all = to(all); len(all) > 0 {
		s.listeners.Store(&all)
	} else {
		s.listeners.Store(nil)
	}
	if isHeard := len(all) > 0; isHeard != wasHeard && s.OnHeard != nil {
		s.OnHeard(isHeard)
	}
}

// A Listener holds the events since the last Take, up to its capacity.
type Listener struct {
	stream *Stream
	filter Filter

	mu    sync.Mutex
	ring  []Event
	first int // index of the oldest event
	count int
	lost  uint64
}

// put keeps the event, or counts it as lost if the ring is full. So it loses the newest events, and those that Take
// returns have no gap between them.
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

// Take moves the oldest events into a slice. It returns their number, and the number of events lost since the last
// Take.
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

// Close unsubscribes the Listener.
func (l *Listener) Close() {
	l.stream.change(func(all []*Listener) []*Listener {
		return slices.DeleteFunc(all, func(other *Listener) bool { return other == l })
	})
}
