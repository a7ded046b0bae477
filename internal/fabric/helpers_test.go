package fabric_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func setUp(t *testing.T, name string) {
	t.Helper()
	must(t, link.Up(name))
}

// The addresses that the tests ask for.
var (
	gatewayAddr = netip.MustParseAddr("10.239.0.1")
	appAddr     = netip.MustParseAddr("10.239.0.101")
	dbAddr      = netip.MustParseAddr("10.239.0.102")
	freeAddr    = netip.MustParseAddr("10.239.0.200") // nobody's
	unspecified = netip.IPv4Unspecified()
)

// registry is that of the network that most tests run.
const registry = `
      10.239.0.1:   "02:00:00:de:54:a8"
      10.239.0.101: "02:00:06:de:54:a8"
      10.239.0.102: "02:00:07:de:54:a8"
      10.239.0.103: "02:00:08:de:54:a8"
      10.239.0.104: "02:00:09:de:54:a8"
      10.239.0.128-10.239.0.191: "02:00:0a:de:54:a8"
`

const firstOfMany = 128 // last byte of the first address that the guests ask for one after the other

var (
	gatewayMAC = responder.MAC{0x02, 0x00, 0x00, 0xde, 0x54, 0xa8}
	appMAC     = responder.MAC{0x02, 0x00, 0x06, 0xde, 0x54, 0xa8}
	dbMAC      = responder.MAC{0x02, 0x00, 0x07, 0xde, 0x54, 0xa8}
)

// network writes the configuration of one network; the rest goes below its name.
func network(attach string, rest ...string) string {
	text := "networks:\n  lab:\n    attach: " + attach + "\n    registry:" + registry
	for _, line := range rest {
		text += "    " + line + "\n"
	}
	return text
}

// running is a fabric that runs.
type running struct {
	*fabric.Fabric
	stop func()
}

// start runs a fabric and waits until it is ready. It is stopped when the test ends, at the latest.
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
	f := fabric.New(cfg, slog.New(log))
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
	case <-time.After(lab.Patience):
		t.Fatalf("not ready after %v", lab.Patience)
	}
	return &running{f, stop}
}

func loadConfig(t *testing.T, configuration string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "arpfabric.yaml")
	must(t, os.WriteFile(path, []byte(configuration), 0o600))
	cfg, err := config.Load(path)
	must(t, err)
	return cfg
}

type counts = map[responder.Reason]uint64

// counts returns the counts of a port, but for what is not ARP: a TAP in br0 hears the host's own multicast.
// They are nil if there is no such port.
func (r *running) counts(port string) counts {
	for _, c := range r.Counts() {
		if c.Port == port {
			reasons := c.Reasons()
			delete(reasons, responder.NotARP)
			return reasons
		}
	}
	return nil
}

// expectCounts waits until a port's counts are these and no others, after something has happened.
func (r *running) expectCounts(t *testing.T, port string, want counts, after string) {
	t.Helper()
	deadline := time.Now().Add(lab.Patience)
	for !maps.Equal(r.counts(port), want) {
		if time.Now().After(deadline) {
			t.Fatalf("after %s, counts of %s: %v, want %v", after, port, r.counts(port), want)
		}
		time.Sleep(time.Millisecond)
	}
}

func (r *running) expectPort(t *testing.T, port string) {
	t.Helper()
	lab.Eventually(t, port+" is attached", func() bool { return r.counts(port) != nil })
	r.settle(t)
}

// settle waits until what the fabric knows of its ports is in the guard, too.
func (r *running) settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lab.Patience)
	defer cancel()
	must(t, r.Alive(ctx))
}

// request is what a guest broadcasts to resolve an address.
func (g *guest) request(target netip.Addr) lab.ARP {
	return lab.ARP{
		Destination: ethernet.Broadcast, Source: g.MAC,
		Operation:          arp.OperationRequest,
		SenderHardwareAddr: g.MAC, SenderIP: g.Addr.Addr(),
		TargetHardwareAddr: make([]byte, 6), TargetIP: target,
	}
}

func (g *guest) send(t *testing.T, frame []byte) {
	t.Helper()
	must(t, g.Send(frame))
}

// arrived returns the frames that have arrived at the guest, without those it sent.
func (g *guest) arrived() [][]byte {
	var frames [][]byte
	for _, s := range g.Frames() {
		if !s.Sent {
			frames = append(frames, s.Frame)
		}
	}
	return frames
}

// hasSeen reports whether a frame has arrived.
func (g *guest) hasSeen(frame []byte) bool {
	frame = frame[:min(len(frame), wire.SnapLen)]
	return slices.ContainsFunc(g.arrived(), func(f []byte) bool { return bytes.Equal(f, frame) })
}

// heard returns the ARP in any form that has arrived at the guest.
func (g *guest) heard() [][]byte {
	return slices.DeleteFunc(g.arrived(), func(frame []byte) bool { return !lab.CarriesARP(frame) })
}

// answers returns the answers that have arrived at the guest: what the fabric sends.
func (g *guest) answers() [][]byte {
	return slices.DeleteFunc(g.heard(), func(frame []byte) bool { return len(frame) != responder.MinFrameLen })
}

// expectAnswer waits for answer number n, from 1, and holds that target is at mac in it.
func (g *guest) expectAnswer(t *testing.T, n int, target netip.Addr, mac responder.MAC) {
	t.Helper()
	lab.Eventually(t, fmt.Sprintf("answer %d arrives", n), func() bool { return len(g.answers()) >= n })
	frame := g.answers()[n-1]
	var p arp.Packet
	must(t, p.UnmarshalBinary(frame[14:]))
	if p.Operation != arp.OperationReply || p.SenderIP != target || !bytes.Equal(p.SenderHardwareAddr, mac[:]) {
		t.Errorf("answer: %s; want %s is-at %s", responder.Describe(frame), target, mac)
	}
	if !bytes.Equal(frame[:6], g.MAC) {
		t.Errorf("the answer is for %x, want %s", frame[:6], g.MAC)
	}
}

// ask asks for an address that the guest has not asked for before, over and over, until it is answered.
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

// mark returns an IPv4 packet from one guest to another, which the fabric has no say in, with a number in
// it: an ICMP echo reply that nobody asked for, which a kernel receives in silence.
func mark(from, to *guest, number int) []byte {
	data := binary.BigEndian.AppendUint32(nil, uint32(number))
	return lab.EchoReply(to.MAC, from.MAC, from.Addr.Addr(), to.Addr.Addr(), data)
}

// sendMark sends a mark, again and again, until it is there: what was sent before and is not there by then,
// will never be.
func sendMark(t *testing.T, from, to *guest, number int) {
	t.Helper()
	m := mark(from, to, number)
	repeat(t, "a mark arrives at "+to.Name, func() { from.Send(m) }, func() bool { return to.hasSeen(m) })
}

// repeat does something, again every now and then, until it has had an effect. Kernels that are very busy
// lose frames.
func repeat(t *testing.T, what string, do func(), done func() bool) {
	t.Helper()
	const pause = 50 * time.Millisecond
	var last time.Time
	lab.Eventually(t, what, func() bool {
		if time.Since(last) > pause {
			do()
			last = time.Now()
		}
		return done()
	})
}

// expectSilence holds that no ARP has reached a guest that is silent itself, and that it has learned nothing.
func (s *stage) expectSilence(t *testing.T, silent ...*guest) {
	t.Helper()
	for i, g := range silent {
		sendMark(t, s.app, g, 1_000_000+i)
		for _, frame := range g.heard() {
			t.Errorf("%s heard %s (%x)", g.Name, responder.Describe(frame), frame)
		}
		learned, err := g.Neighbors()
		must(t, err)
		if len(learned) > 0 {
			t.Errorf("%s learned %v", g.Name, learned)
		}
	}
}

// expectHostLearnedNothing holds that the host's own neighbour table knows nobody.
func expectHostLearnedNothing(t *testing.T) {
	t.Helper()
	learned, err := netlink.NeighList(0, unix.AF_INET)
	must(t, err)
	for _, n := range learned {
		if len(n.HardwareAddr) > 0 && n.State != unix.NUD_NOARP {
			t.Errorf("the host learned %v", &n)
		}
	}
}
