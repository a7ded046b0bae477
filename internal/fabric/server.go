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

// A connServer answers the frames of one Conn.
type connServer struct {
	conn    wire.Conn
	started bool
	closed  atomic.Bool
	loopSeq atomic.Uint64 // even while it waits for frames, odd while it answers them
}

// lost returns how many times frames were lost. For a closed server it returns 0: serve has added them to Fabric.lost.
func (s *connServer) lost() uint64 {
	if s.closed.Load() {
		return 0
	}
	return s.conn.Lost()
}

// close makes serve return.
func (s *connServer) close() {
	s.closed.Store(true)
	s.conn.Close()
}

// serve answers the frames that a server reads. It returns nil when the server is closed, and an error if reading or
// sending fails. It allocates no memory for a frame.
func (f *Fabric) serve(s *connServer) error {
	defer func() { f.lost.Add(s.conn.Lost()) }()
	frames := make([]wire.Frame, wire.MaxBatch)
	replies := make([]wire.Frame, 0, wire.MaxBatch)
	buffers := make([][responder.MaxReplyLen]byte, wire.MaxBatch)
	batch := &batch{}
	for {
		n, err := s.conn.Read(frames)
		s.loopSeq.Add(1)
		if s.closed.Load() { // before err, because close makes Read fail
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading frames: %w", err)
		}
		batch.read, batch.ports = time.Now(), f.ports.Load()
		replies, batch.more = replies[:0], batch.more[:0]
		for _, frame := range frames[:n] {
			out := &buffers[len(replies)]
			if length := f.handle(batch, frame, out[:]); length > 0 {
				replies = append(replies, wire.Frame{Port: frame.Port, Data: out[:length]})
			}
		}
		answers := len(replies)
		replies = append(replies, batch.more...)
		if _, err := s.conn.Write(replies); err != nil && !s.closed.Load() {
			return fmt.Errorf("sending answers: %w", err)
		}
		if answers > 0 {
			f.latency.add(answers, time.Since(batch.read))
		}
		s.loopSeq.Add(1)
	}
}

// A batch has the values that the frames of one Read share.
type batch struct {
	ports *ports
	read  time.Time
	event event.Event  // reused for each event, so that publishing allocates nothing
	more  []wire.Frame // to send, beside the answers
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
	if frame.OnlyLocates {
		f.see(p, settings, frame.Data, 0)
		return 0
	}
	verdict := settings.responder.Decide(p.in, frame.Data, out)
	if frame.IsAnswered {
		f.show(b, p, settings, frame.Data, verdict)
		return 0
	}
	if verdict.Reason == responder.NotARP && b.ports.steered[frame.Port] == p {
		return 0 // a sample of what the allow-list has refused, which is not counted with a TAP
	}
	f.see(p, settings, frame.Data, verdict.Reason)
	p.counts[verdict.Reason][verdict.Action].Add(1)
	switch {
	case p.in.Kind == responder.Uplink:
		f.checkOutside(p, settings, frame.Data, verdict, b.read)
	case violation.Is(verdict.Reason) && !frame.FromHost:
		f.noteViolation(p, settings, frame.Data, verdict)
	}
	if verdict.AnnouncesHolder {
		f.takeovers.add(p.network, responder.SenderIdentityOf(frame.Data))
	}
	b.event.Undelivered = ""
	if frame.FromHost {
		b.event.Undelivered = f.hosts.answer(p, frame.Data, verdict)
	}
	f.show(b, p, settings, frame.Data, verdict)
	if frame.FromHost || !settings.answers {
		return 0
	}
	f.passOutside(b, p, settings, frame.Data, verdict)
	return verdict.Len
}

// show publishes a verdict, and logs it if each verdict is logged.
func (f *Fabric) show(b *batch, p *port, s *settings, frame []byte, v responder.Verdict) {
	f.publish(b, p, s, frame, v)
	if f.isDebugging() {
		f.logVerdict(p, frame, v)
	}
}

// isDebugging reports whether each verdict is logged.
func (f *Fabric) isDebugging() bool { return f.log.Enabled(context.Background(), slog.LevelDebug) }

func (f *Fabric) noteViolation(p *port, s *settings, frame []byte, v responder.Verdict) {
	action := v.Action
	if !s.answers {
		action = responder.Pass
	}
	f.violations.Add(violation.Violation{
		Network: s.config.Name, Port: p.link.Name, Reason: v.Reason, Action: action, SenderIdentity: responder.SenderIdentityOf(frame),
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
