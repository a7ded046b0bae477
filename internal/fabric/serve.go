package fabric

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/violation"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
)

// A line is a Conn that is served.
type line struct {
	conn   wire.Conn
	served bool
	closed atomic.Bool
	turns  atomic.Uint64 // even while it waits for frames, odd while it answers some
}

// lost is how often frames were lost, but for a line that is closed: that adds to the fabric's own count.
func (l *line) lost() uint64 {
	if l.closed.Load() {
		return 0
	}
	return l.conn.Lost()
}

// close ends the serving.
func (l *line) close() {
	l.closed.Store(true)
	l.conn.Close()
}

// serve answers what a line reads until it is closed, and returns nil then. It allocates nothing for a
// frame.
func (f *Fabric) serve(l *line) error {
	defer func() { f.lost.Add(l.conn.Lost()) }()
	frames := make([]wire.Frame, wire.MaxBatch)
	replies := make([]wire.Frame, 0, wire.MaxBatch)
	buffers := make([][responder.MaxReplyLen]byte, wire.MaxBatch)
	batch := &batch{}
	for {
		n, err := l.conn.Read(frames)
		l.turns.Add(1)
		if l.closed.Load() {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading frames: %w", err)
		}
		batch.read, batch.ports = time.Now(), f.ports.Load()
		replies = replies[:0]
		for _, frame := range frames[:n] {
			out := &buffers[len(replies)]
			if length := f.handle(batch, frame, out[:]); length > 0 {
				replies = append(replies, wire.Frame{Port: frame.Port, Data: out[:length]})
			}
		}
		if _, err := l.conn.Write(replies); err != nil && !l.closed.Load() {
			return fmt.Errorf("sending answers: %w", err)
		}
		if len(replies) > 0 {
			f.latency.add(len(replies), time.Since(batch.read))
		}
		l.turns.Add(1)
	}
}

// A batch is what the frames of one Read have in common.
type batch struct {
	ports *ports
	read  time.Time
	event event.Event // the last one that was published: each of its own would be garbage
}

// handle decides about one frame and returns the length of the answer to send, or 0.
func (f *Fabric) handle(b *batch, frame wire.Frame, out []byte) int {
	p := b.ports.from(frame)
	if p == nil {
		f.strays.Add(1)
		return 0
	}
	if frame.FromHost && f.hosts.isCopy(p, frame) {
		return 0
	}
	settings := p.network.settings.Load()
	verdict := settings.responder.Handle(p.in, frame.Data, out)
	if verdict.Reason == responder.NotARP && settings.config.Attach.SeesPorts() {
		in := p.in
		in.HostMAC = settings.hostMAC
		verdict = settings.responder.Admit(in, frame.Data) // a sample of what the guard has refused
	}
	p.counts[verdict.Reason][verdict.Action].Add(1)
	if violation.Is(verdict.Reason) && !p.in.Uplink && !frame.FromHost {
		f.noteViolation(p, settings, frame.Data, verdict)
	}
	if f.events.IsHeard() {
		f.publish(b, p, settings, frame.Data, verdict)
	}
	if f.log.Enabled(context.Background(), slog.LevelDebug) {
		f.logVerdict(p, frame.Data, verdict)
	}
	switch {
	case frame.FromHost:
		f.hosts.answer(p, frame.Data, verdict)
		return 0
	case !settings.answers:
		return 0
	}
	return verdict.Len
}

func (f *Fabric) noteViolation(p *port, s *settings, frame []byte, v responder.Verdict) {
	action := v.Action
	if !s.answers {
		action = responder.Pass
	}
	f.violations.Add(violation.Violation{
		Network: s.config.Name, Port: p.link.Name, Reason: v.Reason, Action: action, Claim: responder.ClaimOf(frame),
	}, s.config.Registry)
}

func (f *Fabric) publish(b *batch, p *port, s *settings, frame []byte, v responder.Verdict) {
	e := &b.event
	e.Time, e.Network, e.Port, e.Verdict, e.DryRun = b.read, s.config.Name, p.link.Name, v, !s.answers
	e.SetFrame(frame)
	f.events.Publish(e)
}

func (f *Fabric) logVerdict(p *port, frame []byte, v responder.Verdict) {
	f.log.Debug(responder.Describe(frame), "network", p.network.config().Name, "port", p.link.Name,
		"action", v.Action.String(), "reason", v.Reason.String())
}
