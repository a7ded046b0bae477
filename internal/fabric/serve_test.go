package fabric

import (
	"encoding/hex"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/go-cmp/cmp"
)

// fakeConn is a Conn that a test hands frames to, and takes the answers from.
type fakeConn struct {
	in  chan []wire.Frame
	out chan []wire.Frame
}

var errGone = errors.New("the device is gone")

func (c *fakeConn) Read(batch []wire.Frame) (int, error) {
	frames, ok := <-c.in
	if !ok {
		return 0, errGone
	}
	return copy(batch, frames), nil
}

func (c *fakeConn) Write(batch []wire.Frame) (int, error) {
	c.out <- batch
	return len(batch), nil
}

func (c *fakeConn) Lost() uint64 { return 0 }

func (c *fakeConn) Close() error {
	close(c.in)
	return nil
}

// exchange hands frames over and returns the answers, which are valid until the next exchange.
func (c *fakeConn) exchange(frames ...wire.Frame) []wire.Frame {
	c.in <- frames
	return <-c.out
}

// serveFake has a Fabric with two ports serve a fakeConn: 1 is in a vpc network, 2 in a classic one. When
// the Conn is closed, what serve returns is in ended.
func serveFake(t *testing.T) (f *Fabric, l *line, ended chan error) {
	t.Helper()
	registry, err := responder.NewRegistry(slices.Values([]responder.Binding{
		bind("10.239.0.1", responder.MAC{0x02, 0x00, 0x00, 0xde, 0x54, 0xa8}),
		bind("10.239.0.101", responder.MAC{0x02, 0x00, 0x06, 0xde, 0x54, 0xa8}),
	}))
	if err != nil {
		t.Fatal(err)
	}
	f = New(&config.Config{}, slog.New(slog.DiscardHandler))
	vpc := newNetwork(config.Network{Name: "a", Mode: config.VPC, Registry: registry})
	classic := newNetwork(config.Network{Name: "b", Mode: config.Classic, Registry: registry})
	ports := newPorts()
	ports.add(vpc, link.Link{Name: "vnet1", Index: 1}, newPorts())
	ports.add(classic, link.Link{Name: "vnet2", Index: 2}, newPorts())
	f.ports.Store(ports)
	l = &line{conn: &fakeConn{in: make(chan []wire.Frame), out: make(chan []wire.Frame)}}
	ended = make(chan error, 1)
	go func() { ended <- f.serve(l) }()
	return f, l, ended
}

func bind(addr string, mac responder.MAC) responder.Binding {
	return responder.Binding{First: netip.MustParseAddr(addr), Last: netip.MustParseAddr(addr), MAC: mac}
}

func unhex(text string) []byte {
	data, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		panic(err)
	}
	return data
}

// What a guest of a cloud's subnet sent and what came back, but for the last, which had no answer.
var (
	gatewayRequest = unhex(`ffffffffffff 020006de54a8 0806 0001 0800 06 04 0001
	                        020006de54a8 0aef0065 000000000000 0aef0001`)
	gatewayReply = unhex(`020006de54a8 020000de54a8 0806 0001 0800 06 04 0002
	                      020000de54a8 0aef0001 020006de54a8 0aef0065
	                      000000000000000000000000000000000000`)
	ownProbe = unhex(`ffffffffffff 020006de54a8 0806 0001 0800 06 04 0001
	                  020006de54a8 00000000 ffffffffffff 0aef0065`)
	ownProbeReply = unhex(`020006de54a8 020006de54a8 0806 0001 0800 06 04 0002
	                       020006de54a8 0aef0065 020006de54a8 00000000
	                       000000000000000000000000000000000000`)
	unknownRequest = unhex(`ffffffffffff 020006de54a8 0806 0001 0800 06 04 0001
	                        020006de54a8 0aef0065 000000000000 0aef00c8`)
)

func TestServe(t *testing.T) {
	f, l, ended := serveFake(t)
	const inVPC, inClassic, inNone = 1, 2, 3
	got := l.conn.(*fakeConn).exchange(
		wire.Frame{Port: inVPC, Data: unknownRequest},
		wire.Frame{Port: inClassic, Data: gatewayRequest},
		wire.Frame{Port: inVPC, Data: gatewayRequest},
		wire.Frame{Port: inNone, Data: gatewayRequest},
		wire.Frame{Port: inVPC, Data: ownProbe},
	)
	want := []wire.Frame{{Port: inVPC, Data: gatewayReply}, {Port: inVPC, Data: ownProbeReply}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	l.close()
	if err := <-ended; err != nil {
		t.Errorf("serve of a line that was closed returned %v, want nil", err)
	}

	type verdicts = map[responder.Verdict]uint64
	wantCounts := []PortCounts{
		{Network: "a", Port: "vnet1", Index: inVPC, Verdicts: verdicts{
			{Action: responder.Drop, Reason: responder.UnknownTarget}: 1,
			{Action: responder.Reply, Reason: responder.SelfProbe}:    1,
			{Action: responder.Reply, Reason: responder.Answered}:     1,
		}},
		{Network: "b", Port: "vnet2", Index: inClassic, Verdicts: verdicts{
			{Action: responder.Reply, Reason: responder.Answered}: 1,
		}},
	}
	if diff := cmp.Diff(wantCounts, f.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if strays := f.strays.Load(); strays != 1 {
		t.Errorf("%d strays, want 1", strays)
	}
	if n := answersTimed(f); n != 2 {
		t.Errorf("the histogram has %d answers, want 2", n)
	}
}

// answersTimed returns how many answers the histogram has.
func answersTimed(f *Fabric) (sum uint64) {
	for _, n := range f.Latency().Counts {
		sum += n
	}
	return sum
}

func TestServeFails(t *testing.T) {
	_, l, ended := serveFake(t)
	l.conn.Close()
	if err := <-ended; !errors.Is(err, errGone) {
		t.Errorf("serve returned %v, want %v", err, errGone)
	}
}

// TestServeAllocatesNothing holds that also while somebody listens who has no room for more.
func TestServeAllocatesNothing(t *testing.T) {
	t.Run("unheard", func(t *testing.T) { expectNoAllocations(t, false) })
	t.Run("heard", func(t *testing.T) { expectNoAllocations(t, true) })
}

func expectNoAllocations(t *testing.T, isHeard bool) {
	t.Helper()
	f, l, ended := serveFake(t)
	if isHeard {
		defer f.events.Listen(event.Filter{}, 1).Close()
	}
	batch := make([]wire.Frame, wire.MaxBatch)
	for i := range batch {
		batch[i] = wire.Frame{Port: 1 + i%2, Data: gatewayRequest}
		if i%4 == 0 {
			batch[i].Data = unknownRequest
		}
	}
	conn := l.conn.(*fakeConn)
	answers := 0
	if allocs := testing.AllocsPerRun(100, func() { answers += len(conn.exchange(batch...)) }); allocs != 0 {
		t.Errorf("%v allocations a batch, want none", allocs)
	}
	if want := 101 * wire.MaxBatch / 4; answers != want { // it runs once more, to warm up
		t.Errorf("%d answers, want %d", answers, want)
	}
	l.close()
	<-ended
}
