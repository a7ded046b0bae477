package fabric

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
)

// A line is a Conn that is served.
type line struct {
	conn   wire.Conn
	served bool
	closed atomic.Bool
}

// close ends the serving.
func (l *line) close() {
	l.closed.Store(true)
	l.conn.Close()
}

// serve answers what a line reads until it is closed, and returns nil then. It allocates nothing for a
// frame.
func (f *Fabric) serve(l *line) error {
	frames := make([]wire.Frame, wire.MaxBatch)
	replies := make([]wire.Frame, 0, wire.MaxBatch)
	buffers := make([][responder.MaxReplyLen]byte, wire.MaxBatch)
	for {
		n, err := l.conn.Read(frames)
		if l.closed.Load() {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading frames: %w", err)
		}
		replies = replies[:0]
		ports := f.ports.Load()
		for _, frame := range frames[:n] {
			out := &buffers[len(replies)]
			if length := f.handle(ports, frame, out[:]); length > 0 {
				replies = append(replies, wire.Frame{Port: frame.Port, Data: out[:length]})
			}
		}
		if _, err := l.conn.Write(replies); err != nil && !l.closed.Load() {
			return fmt.Errorf("sending answers: %w", err)
		}
	}
}

// handle decides about one frame and returns the length of the answer to send, or 0.
func (f *Fabric) handle(ports *ports, frame wire.Frame, out []byte) int {
	p := ports.from(frame)
	if p == nil {
		f.strays.Add(1)
		return 0
	}
	if frame.FromHost && f.hosts.isCopy(frame.Data) {
		return 0
	}
	settings := p.network.settings.Load()
	verdict := settings.responder.Handle(p.in, frame.Data, out)
	p.counts[verdict.Reason].Add(1)
	if f.log.Enabled(context.Background(), slog.LevelDebug) {
		f.logVerdict(p, frame.Data, verdict)
	}
	switch {
	case !settings.answers:
		return 0
	case frame.FromHost:
		f.hosts.answer(p, frame.Data, out, verdict)
		return 0
	}
	return verdict.Len
}

func (f *Fabric) logVerdict(p *port, frame []byte, v responder.Verdict) {
	f.log.Debug(responder.Describe(frame), "network", p.network.config().Name, "port", p.link.Name,
		"action", v.Action, "reason", v.Reason)
}
