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
	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/go-cmp/cmp"
)

// fakeConn is a Conn that reads the frames of a test, and gives it the answers.
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

// exchange makes Read return frames, and returns the answers, which are valid until the next exchange.
func (c *fakeConn) exchange(frames ...wire.Frame) []wire.Frame {
	c.in <- frames
	return <-c.out
}

// countsNothing is a Datapath without counters and without a program. No other methods than these may be called.
type countsNothing struct{ datapath.Datapath }

func (countsNothing) Counters() (map[string]datapath.Counters, error) {
	return nil, errors.New("no guard")
}

func (countsNothing) Program() *datapath.Program { return nil }

func (countsNothing) Show(bool) {}

// serveFake makes a Fabric with two ports serve a fakeConn. Port 1 is in a vpc network, port 2 in a classic one. When
// the Conn is closed, ended receives the result of serve.
func serveFake(t *testing.T) (f *Fabric, s *connServer, ended chan error) {
	t.Helper()
	known, err := registry.New(slices.Values([]registry.Binding{
		bind("10.239.0.1", registry.MAC{0x02, 0x00, 0x00, 0xde, 0x54, 0xa8}),
		bind("10.239.0.101", registry.MAC{0x02, 0x00, 0x06, 0xde, 0x54, 0xa8}),
	}))
	if err != nil {
		t.Fatal(err)
	}
	f = New(&config.Config{}, slog.New(slog.DiscardHandler), countsNothing{})
	vpc := newNetwork(config.Network{Name: "a", Mode: config.VPC, Registry: known})
	classic := newNetwork(config.Network{Name: "b", Mode: config.Classic, Registry: known})
	ports := newPorts()
	ports.addNetwork(vpc, []link.Link{{Name: "vnet1", Index: 1}}, link.Snapshot{}, newPorts())
	ports.addNetwork(classic, []link.Link{{Name: "vnet2", Index: 2}}, link.Snapshot{}, newPorts())
	f.ports.Store(ports)
	s = &connServer{conn: &fakeConn{in: make(chan []wire.Frame), out: make(chan []wire.Frame)}}
	ended = make(chan error, 1)
	go func() { ended <- f.serve(s) }()
	return f, s, ended
}

func bind(addr string, mac registry.MAC) registry.Binding {
	return registry.Binding{First: netip.MustParseAddr(addr), Last: netip.MustParseAddr(addr), MAC: mac}
}

func unhex(text string) []byte {
	data, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		panic(err)
	}
	return data
}

// Requests of a guest in a cloud's subnet, and the answers to them. The last request had none.
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
	f, s, ended := serveFake(t)
	const inVPC, inClassic, inNone = 1, 2, 3
	got := s.conn.(*fakeConn).exchange(
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
	s.close()
	if err := <-ended; err != nil {
		t.Errorf("serve of a closed server returned %v, want nil", err)
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
	_, s, ended := serveFake(t)
	s.conn.Close()
	if err := <-ended; !errors.Is(err, errGone) {
		t.Errorf("serve returned %v, want %v", err, errGone)
	}
}

// TestServeAllocatesNothing checks that serve allocates nothing, even with a listener whose buffer is full.
func TestServeAllocatesNothing(t *testing.T) {
	t.Run("no listener", func(t *testing.T) { expectNoAllocations(t, false) })
	t.Run("listener", func(t *testing.T) { expectNoAllocations(t, true) })
}

func expectNoAllocations(t *testing.T, isHeard bool) {
	t.Helper()
	f, s, ended := serveFake(t)
	if isHeard {
		defer f.events.Listen(event.Filter{}, 1, 0).Close()
	}
	batch := make([]wire.Frame, wire.MaxBatch)
	for i := range batch {
		batch[i] = wire.Frame{Port: 1 + i%2, Data: gatewayRequest}
		if i%4 == 0 {
			batch[i].Data = unknownRequest
		}
	}
	conn := s.conn.(*fakeConn)
	answers := 0
	if allocs := testing.AllocsPerRun(100, func() { answers += len(conn.exchange(batch...)) }); allocs != 0 {
		t.Errorf("%v allocations a batch, want none", allocs)
	}
	if want := 101 * wire.MaxBatch / 4; answers != want { // AllocsPerRun runs it once more, to warm up
		t.Errorf("%d answers, want %d", answers, want)
	}
	s.close()
	<-ended
}
