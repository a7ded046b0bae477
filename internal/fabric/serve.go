package fabric

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
)

// serve answers what conn reads until ctx ends, and returns nil then. It allocates nothing for a frame.
func (f *Fabric) serve(ctx context.Context, conn wire.Conn) error {
	frames := make([]wire.Frame, wire.MaxBatch)
	replies := make([]wire.Frame, 0, wire.MaxBatch)
	buffers := make([][responder.MaxReplyLen]byte, wire.MaxBatch)
	for {
		n, err := conn.Read(frames)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading frames: %w", err)
		}
		replies = replies[:0]
		ports := *f.ports.Load()
		for _, frame := range frames[:n] {
			out := &buffers[len(replies)]
			if length := f.handle(ports, frame, out[:]); length > 0 {
				replies = append(replies, wire.Frame{Port: frame.Port, Data: out[:length]})
			}
		}
		if _, err := conn.Write(replies); err != nil && ctx.Err() == nil {
			return fmt.Errorf("sending answers: %w", err)
		}
	}
}

// handle decides about one frame and returns the length of the answer to send, or 0.
func (f *Fabric) handle(ports portTable, frame wire.Frame, out []byte) int {
	p := ports[frame.Port]
	if p == nil {
		f.strays.Add(1)
		return 0
	}
	verdict := p.network.responder.Load().Handle(p.in, frame.Data, out)
	p.counts[verdict.Reason].Add(1)
	if f.log.Enabled(context.Background(), slog.LevelDebug) {
		f.logVerdict(p, frame.Data, verdict)
	}
	if !p.network.answers() {
		return 0
	}
	return verdict.Len
}

func (f *Fabric) logVerdict(p *port, frame []byte, v responder.Verdict) {
	f.log.Debug(responder.Describe(frame), "network", p.network.Name, "port", p.link.Name,
		"action", v.Action, "reason", v.Reason)
}
