package api

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/responder"
)

const (
	// eventCapacity is the number of events that may wait for one listener.
	eventCapacity = 512

	// eventBatch is the number of events that one listener gets in an eventInterval. The other listeners get none in that
	// interval, so the server encodes at most 64 events every 25 ms, 2500 a second. The cost of encoding, garbage
	// collection and reading then leaves processor time for the answers to guests.
	eventBatch    = 64
	eventInterval = 25 * time.Millisecond

	// keepAlive is the longest time between two lines to a listener: without events the server sends an empty line.
	keepAlive = 2 * time.Second
)

// events streams events, one JSON object a line, until the listener disconnects.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	last, p := lastOf(query)
	query.Del(keyLast)
	f, filterProblem := s.filter(query)
	if p = cmp.Or(p, filterProblem); p != nil {
		s.sendProblem(w, p)
		return
	}
	select {
	case s.listenerSlots <- struct{}{}:
		defer func() { <-s.listenerSlots }()
	default:
		s.sendProblem(w, problem(http.StatusServiceUnavailable, "too many clients watch events already; end one of them"))
		return
	}
	listener := s.fabric.Listen(f, eventCapacity, last)
	defer listener.Close()
	w.Header().Set("Content-Type", mediaLines)
	s.stream(w, r, listener)
}

// lastOf parses the number of earlier events that a client wants.
func lastOf(query url.Values) (int, *Problem) {
	if !query.Has(keyLast) {
		return 0, nil
	}
	last, err := strconv.Atoi(query.Get(keyLast))
	if err != nil || last < 0 || last > event.MaxLast {
		return 0, problem(http.StatusBadRequest, "%s is %q; want a number from 0 to %d", keyLast, query.Get(keyLast), event.MaxLast)
	}
	return last, nil
}

func (s *Server) stream(w http.ResponseWriter, r *http.Request, l *event.Listener) {
	control, batch := http.NewResponseController(w), make([]event.Event, eventBatch)
	ticker := time.NewTicker(eventInterval)
	defer ticker.Stop()
	var lines bytes.Buffer
	// The zero time makes the first keep-alive due at once: it tells the client that the stream has begun.
	var lastWrite time.Time
	for {
		lines.Reset()
		if !s.takeEvents(r.Context(), l, batch, &lines) {
			return
		}
		if lines.Len() == 0 && time.Since(lastWrite) >= keepAlive {
			lines.WriteByte('\n')
		}
		if lines.Len() > 0 {
			lastWrite = time.Now()
			control.SetWriteDeadline(lastWrite.Add(s.limits.writeTimeout))
			w.Write(lines.Bytes())
			if control.Flush() != nil {
				return
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
	}
}

// takeEvents waits for the event slot and writes the listener's events to lines. It reports false if ctx has ended.
func (s *Server) takeEvents(ctx context.Context, l *event.Listener, batch []event.Event, lines *bytes.Buffer) bool {
	select {
	case s.eventSlot <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	n, lost := l.Take(batch)
	if n == 0 && lost == 0 {
		<-s.eventSlot
		return true
	}
	// Keep the slot for the interval, also after this function has returned: this is the rate limit of all listeners.
	time.AfterFunc(eventInterval, func() { <-s.eventSlot })
	encodeEvents(lines, batch[:n], lost)
	return true
}

func encodeEvents(lines *bytes.Buffer, batch []event.Event, lost uint64) {
	out := newEncoder(lines)
	for i := range batch {
		_ = out.Encode(toJSON(&batch[i]))
	}
	// Behind the events: a listener loses the newest events, not the oldest.
	if lost > 0 {
		_ = out.Encode(Event{Time: time.Now(), Lost: lost})
	}
}

func toJSON(e *event.Event) Event {
	return Event{
		Time: e.Time, Network: e.Network, Port: e.Port,
		Action: e.Verdict.Action.String(), Reason: e.Verdict.Reason.String(), DryRun: e.DryRun, Undelivered: e.Undelivered,
		Earlier: e.IsEarlier,
		Words:   responder.Describe(e.Frame()), Frame: e.Frame(), Length: e.Len(),
	}
}
