package fabric_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func setUp(t testing.TB, name string) {
	t.Helper()
	labtest.Must(t, link.Up(name))
}

// The addresses that guests request.
var (
	gatewayAddr = netip.MustParseAddr("10.239.0.1")
	appAddr     = netip.MustParseAddr("10.239.0.101")
	dbAddr      = netip.MustParseAddr("10.239.0.102")
	freeAddr    = netip.MustParseAddr("10.239.0.200") // not in the registry
	unspecified = netip.IPv4Unspecified()
)

// labRegistry is the registry of the network in most tests.
const labRegistry = `
      10.239.0.1:   "02:00:00:de:54:a8"
      10.239.0.101: "02:00:06:de:54:a8"
      10.239.0.102: "02:00:07:de:54:a8"
      10.239.0.103: "02:00:08:de:54:a8"
      10.239.0.104: "02:00:09:de:54:a8"
      10.239.0.128-10.239.0.191: "02:00:0a:de:54:a8"
`

const firstOfMany = 128 // last byte of the first address that ask requests

var (
	gatewayMAC = registry.MAC{0x02, 0x00, 0x00, 0xde, 0x54, 0xa8}
	appMAC     = registry.MAC{0x02, 0x00, 0x06, 0xde, 0x54, 0xa8}
	dbMAC      = registry.MAC{0x02, 0x00, 0x07, 0xde, 0x54, 0xa8}
)

// network returns the configuration of one network. rest has further lines below its name.
func network(attach string, rest ...string) string {
	text := "networks:\n  lab:\n    attach: " + attach + "\n    registry:" + labRegistry
	for _, line := range rest {
		text += "    " + line + "\n"
	}
	return text
}

// running is a running fabric.
type running struct {
	*fabric.Fabric
	datapath datapath.Datapath
	stop     func()
}

// start runs a fabric, until the test ends or stop is called, and waits until it is ready.
func start(t *testing.T, configuration string) *running {
	t.Helper()
	return startConfig(t, loadConfig(t, configuration))
}

func startConfig(t *testing.T, cfg *config.Config) *running {
	t.Helper()
	return startLogging(t, cfg, slog.NewTextHandler(t.Output(), nil))
}

func startLogging(t *testing.T, cfg *config.Config, log slog.Handler) *running {
	t.Helper()
	return startOn(t, newDatapath(t), cfg, log)
}

func startOn(t *testing.T, d datapath.Datapath, cfg *config.Config, log slog.Handler) *running {
	t.Helper()
	f := fabric.New(cfg, slog.New(log), d)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	stop := func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		ended <- nil
	}
	t.Cleanup(stop)
	select {
	case <-f.Ready():
	case err := <-ended:
		ended <- nil
		t.Fatalf("Run: %v", err)
	case <-time.After(labtest.Patience):
		t.Fatalf("not ready after %v", labtest.Patience)
	}
	return &running{f, d, stop}
}

func loadConfig(t *testing.T, configuration string) *config.Config {
	t.Helper()
	cfg, err := config.Load(labtest.TempFile(t, "arpfabric.yaml", configuration))
	labtest.Must(t, err)
	return cfg
}

type counts = map[responder.Reason]uint64

// counts returns the counters of a port, or nil if there is no such port. It leaves out NotARP, because a TAP in br0
// also receives multicasts of the host, and Admitted, because only the kernel datapath counts such frames.
func (r *running) counts(port string) counts {
	for _, c := range r.Counts() {
		if c.Port == port {
			reasons := c.Reasons()
			delete(reasons, responder.NotARP)
			delete(reasons, responder.Admitted)
			return reasons
		}
	}
	return nil
}

// expectCounts waits until a port's counters are exactly want. after names the cause in the failure.
func (r *running) expectCounts(t *testing.T, port string, want counts, after string) {
	t.Helper()
	deadline := time.Now().Add(labtest.Patience)
	for !maps.Equal(r.counts(port), want) {
		if time.Now().After(deadline) {
			t.Fatalf("after %s, counts of %s: %v, want %v", after, port, r.counts(port), want)
		}
		time.Sleep(time.Millisecond)
	}
}

func (r *running) expectPort(t *testing.T, port string) {
	t.Helper()
	labtest.Eventually(t, port+" is attached", func() bool { return r.counts(port) != nil })
	r.settle(t)
}

// settle waits until the fabric has applied its ports to the guard.
func (r *running) settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), labtest.Patience)
	defer cancel()
	labtest.Must(t, r.Alive(ctx))
}

// request returns the guest's request for an address.
func (g *guest) request(target netip.Addr) lab.ARP {
	return lab.Request(g.MAC, g.Addr.Addr(), target)
}

func (g *guest) send(t *testing.T, frame []byte) {
	t.Helper()
	labtest.Must(t, g.Send(frame))
}

// received returns the frames that the guest has received.
func (g *guest) received() [][]byte {
	var frames [][]byte
	for _, s := range g.Frames() {
		if !s.Sent {
			frames = append(frames, s.Frame)
		}
	}
	return frames
}

// hasReceived reports whether the guest has received a frame.
func (g *guest) hasReceived(frame []byte) bool {
	frame = frame[:min(len(frame), wire.SnapLen)]
	return slices.ContainsFunc(g.received(), func(f []byte) bool { return bytes.Equal(f, frame) })
}

// receivedARP returns the ARP frames, in any form, that the guest has received.
func (g *guest) receivedARP() [][]byte {
	return slices.DeleteFunc(g.received(), func(frame []byte) bool { return !lab.CarriesARP(frame) })
}

// answers returns the answers of the fabric that the guest has received.
func (g *guest) answers() [][]byte {
	const operation, reply = 21, 2
	return slices.DeleteFunc(g.receivedARP(), func(frame []byte) bool {
		return len(frame) != responder.MinFrameLen || frame[operation] != reply
	})
}

// expectAnswer waits for the n-th answer, from 1, and checks that it says that target is at mac.
func (g *guest) expectAnswer(t *testing.T, n int, target netip.Addr, mac registry.MAC) {
	t.Helper()
	labtest.Eventually(t, fmt.Sprintf("answer %d arrives", n), func() bool { return len(g.answers()) >= n })
	frame := g.answers()[n-1]
	var p arp.Packet
	labtest.Must(t, p.UnmarshalBinary(frame[14:]))
	if p.Operation != arp.OperationReply || p.SenderIP != target || !bytes.Equal(p.SenderHardwareAddr, mac[:]) {
		t.Errorf("answer: %s; want %s is-at %s", responder.Describe(frame), target, mac)
	}
	if !bytes.Equal(frame[:6], g.MAC) {
		t.Errorf("the answer is for %x, want %s", frame[:6], g.MAC)
	}
}

// ask sends requests for an address that the guest has not requested before, until it is answered.
func (g *guest) ask(t *testing.T) {
	t.Helper()
	g.asked++
	target := netip.AddrFrom4([4]byte{10, 239, 0, firstOfMany + g.asked})
	repeat(t, g.Name+" is answered",
		func() { g.Send(g.request(target).Frame()) },
		func() bool { return g.answersFor(target) > 0 })
}

// answersFor counts the answers to requests for an address.
func (g *guest) answersFor(target netip.Addr) int {
	n := 0
	for _, frame := range g.answers() {
		if senderIP := frame[28:32]; bytes.Equal(senderIP, target.AsSlice()) {
			n++
		}
	}
	return n
}

// mark returns an IPv4 packet from one guest to another, with a number in it. The fabric does not decide about it. It
// is an ICMP echo reply without a request, to which a kernel does not react.
func mark(from, to *guest, number int) []byte {
	data := binary.BigEndian.AppendUint32(nil, uint32(number))
	return lab.EchoReply(to.MAC, from.MAC, from.Addr.Addr(), to.Addr.Addr(), data)
}

// sendMark sends a mark repeatedly until it arrives. Frames that were sent before, and have not arrived by then, never
// will.
func sendMark(t *testing.T, from, to *guest, number int) {
	t.Helper()
	m := mark(from, to, number)
	repeat(t, "a mark arrives at "+to.Name, func() { from.Send(m) }, func() bool { return to.hasReceived(m) })
}

// repeat calls do at intervals until done returns true: a very busy kernel loses frames.
func repeat(t *testing.T, what string, do func(), done func() bool) {
	t.Helper()
	const pause = 50 * time.Millisecond
	var last time.Time
	labtest.Eventually(t, what, func() bool {
		if time.Since(last) > pause {
			do()
			last = time.Now()
		}
		return done()
	})
}

// expectSilence checks that guests that have sent nothing have received no ARP, and have learned no neighbours.
func (s *stage) expectSilence(t *testing.T, silent ...*guest) {
	t.Helper()
	for i, g := range silent {
		sendMark(t, s.app, g, 1_000_000+i)
		for _, frame := range g.receivedARP() {
			t.Errorf("%s received %s (%x)", g.Name, responder.Describe(frame), frame)
		}
		learned, err := labtest.Neighbors(g.Guest)
		labtest.Must(t, err)
		if len(learned) > 0 {
			t.Errorf("%s learned %v", g.Name, learned)
		}
	}
}

// expectHostLearnedNothing checks that the host's neighbour table has no entry with a MAC.
func expectHostLearnedNothing(t *testing.T) {
	t.Helper()
	learned, err := netlink.NeighList(0, unix.AF_INET)
	labtest.Must(t, err)
	for _, n := range learned {
		if len(n.HardwareAddr) > 0 && n.State != unix.NUD_NOARP {
			t.Errorf("the host learned %v", &n)
		}
	}
}
