package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/responder"
)

const (
	// eventRoom is how many events may wait for a listener, and eventsAtOnce how many it gets at once, which is how
	// many all listeners together get in each interval: 2500 a second, so that encoding them, collecting the garbage
	// of that, and reading them leaves the processors to the guests.
	eventRoom    = 512
	eventsAtOnce = 64
	lookInterval = 25 * time.Millisecond

	// sign is how often a listener hears something even when nothing happens: an empty line.
	sign = 2 * time.Second
)

// events streams events, one JSON object a line, until the listener goes.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	f, p := s.filter(r)
	if p != nil {
		s.refuse(w, p)
		return
	}
	select {
	case s.listeners <- struct{}{}:
		defer func() { <-s.listeners }()
	default:
		s.refuse(w, problem(http.StatusServiceUnavailable, "too many listen already; end one of them"))
		return
	}
	listener := s.fabric.Listen(f, eventRoom)
	defer listener.Close()
	w.Header().Set("Content-Type", mediaLines)
	s.stream(w, r, listener)
}

func (s *server) stream(w http.ResponseWriter, r *http.Request, l *event.Listener) {
	control, taken := http.NewResponseController(w), make([]event.Event, eventsAtOnce)
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	var lines bytes.Buffer
	var last time.Time // that something was sent; at once, as a sign that listening has begun
	for {
		lines.Reset()
		if !s.look(r.Context(), l, taken, &lines) {
			return
		}
		if lines.Len() == 0 && time.Since(last) >= sign {
			lines.WriteByte('\n')
		}
		if lines.Len() > 0 {
			last = time.Now()
			control.SetWriteDeadline(last.Add(s.limits.patience))
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

// look takes events and makes lines of them, when it is this listener's turn. If there are any, it is nobody else's for
// the interval. It reports false when ctx has ended.
func (s *server) look(ctx context.Context, l *event.Listener, taken []event.Event, lines *bytes.Buffer) bool {
	select {
	case s.looking <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	n, lost := l.Take(taken)
	if n == 0 && lost == 0 {
		<-s.looking
		return true
	}
	time.AfterFunc(lookInterval, func() { <-s.looking })
	encodeEvents(lines, taken[:n], lost)
	return true
}

func encodeEvents(lines *bytes.Buffer, taken []event.Event, lost uint64) {
	out := json.NewEncoder(lines)
	for i := range taken {
		out.Encode(inJSON(&taken[i]))
	}
	if lost > 0 {
		out.Encode(Event{Time: time.Now(), Lost: lost})
	}
}

func inJSON(e *event.Event) Event {
	return Event{
		Time: e.Time, Network: e.Network, Port: e.Port,
		Action: e.Verdict.Action.String(), Reason: e.Verdict.Reason.String(), DryRun: e.DryRun,
		Words: responder.Describe(e.Frame()), Frame: e.Frame(), Length: e.Len(),
	}
}
