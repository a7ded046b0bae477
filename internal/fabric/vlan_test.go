package fabric_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A vlanStage is a stage whose bridge filters VLANs. Its two VLANs have the same addresses, and some guests of the
// same addresses and MACs:
//
//	VLAN 10: app, db, idle         VLAN 20: twin, as app; listener, as db
//
// outside is behind an uplink that carries both, tagged.
type vlanStage struct {
	*stage
	twin, listener, outside *guest

	marks int // that were sent
}

const uplink = "vnet9"

func buildVLANs(t *testing.T) *vlanStage {
	t.Helper()
	lab.NeedVLANFiltering(t)
	s := &vlanStage{stage: build(t, attachment{"vlan", "{bridge: br0, vlan: 10}", "vnet1", true})}
	must(t, lab.FilterVLANs(bridgeName, true))
	s.twin, s.listener = addTwin(t, s.app, "twin", "vnet4"), addTwin(t, s.db, "listener", "vnet5")
	s.outside = addGuest(t, 9, "outside")
	for _, g := range []*guest{s.app, s.db, s.idle} {
		g.move(t, defaultVLAN, 10)
	}
	for _, g := range []*guest{s.twin, s.listener} {
		g.move(t, defaultVLAN, 20)
	}
	must(t, lab.LeaveVLAN(uplink, defaultVLAN))
	must(t, lab.JoinVLAN(uplink, 10, false))
	must(t, lab.JoinVLAN(uplink, 20, false))
	return s
}

// defaultVLAN is that of a new member of a bridge.
const defaultVLAN = 1

// addTwin makes a guest, a member of br0, with the address and the MAC of another one.
func addTwin(t *testing.T, of *guest, name, port string) *guest {
	t.Helper()
	g := makeGuest(t, lab.GuestConfig{Name: name, Port: port, MAC: of.MAC, Addr: of.Addr})
	must(t, lab.SetMaster(port, bridgeName))
	return g
}

// move puts the guest's port from one VLAN into another, with no moment in between.
func (g *guest) move(t *testing.T, from, to uint16) {
	t.Helper()
	must(t, lab.JoinVLAN(g.Port, to, true))
	must(t, lab.LeaveVLAN(g.Port, from))
}

// onVLAN writes the configuration of a network on a VLAN. It has the bindings of all networks here, but for its
// gateway, and who is behind the uplink.
func onVLAN(name string, vlan uint16, gateway responder.MAC) string {
	return fmt.Sprintf("  %s:\n    attach: {bridge: br0, vlan: %d, uplinks: [%s]}\n    registry:", name, vlan, uplink) +
		strings.Replace(registry, gatewayMAC.String(), gateway.String(), 1) +
		"      10.239.0.109: \"02:00:0e:de:54:a8\"\n"
}

var (
	ten    = onVLAN("ten", 10, gatewayMAC)
	twenty = onVLAN("twenty", 20, secondGatewayMAC)
)

const networks = "networks:\n"

// expectGateway asks for the gateway until it is at mac, and then holds that it stays there.
func (g *guest) expectGateway(t *testing.T, mac responder.MAC) {
	t.Helper()
	ask := func() { g.Send(g.request(gatewayAddr).Frame()) }
	repeat(t, fmt.Sprintf("for %s the gateway is at %s", g.Name, mac), ask, func() bool {
		heard := g.gateways()
		return len(heard) > 0 && heard[len(heard)-1] == mac
	})
	const more = 10
	before := len(g.gateways())
	repeat(t, g.Name+" is answered again", ask, func() bool { return len(g.gateways()) >= before+more })
	for _, other := range g.gateways()[before:] {
		if other != mac {
			t.Errorf("%s hears again that the gateway is at %s; it is at %s", g.Name, other, mac)
		}
	}
}

// gateways returns where the answers that have arrived at the guest say that the gateway is.
func (g *guest) gateways() []responder.MAC {
	var macs []responder.MAC
	for _, frame := range g.answers() {
		if bytes.Equal(frame[28:32], gatewayAddr.AsSlice()) {
			macs = append(macs, responder.MAC(frame[22:28]))
		}
	}
	return macs
}

// expectUnheard holds that no ARP has reached a guest that is silent itself, with a mark from one in its VLAN.
func (s *vlanStage) expectUnheard(t *testing.T, from, silent *guest) {
	t.Helper()
	s.marks++
	sendMark(t, from, silent, s.marks)
	for _, frame := range silent.heard() {
		t.Fatalf("%s heard %s (%x)", silent.Name, responder.Describe(frame), frame)
	}
}

// expectUnheardOutside holds that no ARP has left by the uplink, with a mark from one in VLAN 10.
func (s *vlanStage) expectUnheardOutside(t *testing.T, from *guest) {
	t.Helper()
	s.sendMarkOut(t, from)
	for _, frame := range s.outside.heard() {
		t.Fatalf("%s left by the uplink (%x)", responder.Describe(frame), frame)
	}
}

// sendMarkOut does what sendMark does, to the guest outside, from one in VLAN 10.
func (s *vlanStage) sendMarkOut(t *testing.T, from *guest) {
	t.Helper()
	s.marks++
	m := mark(from, s.outside, s.marks)
	repeat(t, "a mark leaves by the uplink",
		func() { from.Send(m) },
		func() bool { return s.outside.hasSeen(tagged(m, qTag|10)) })
}

// TestVLANs holds that each of two networks on one bridge answers its own guests, and who asks by an uplink with
// its VLAN's tag, whom no guest hears.
func TestVLANs(t *testing.T) {
	s := buildVLANs(t)
	start(t, networks+ten+twenty)
	s.app.expectGateway(t, gatewayMAC)
	s.twin.expectGateway(t, secondGatewayMAC)

	request := s.outside.request(gatewayAddr).Frame()
	for vlan, mac := range map[uint32]responder.MAC{10: gatewayMAC, 20: secondGatewayMAC} {
		s.outside.send(t, tagged(request, qTag|vlan))
		lab.Eventually(t, fmt.Sprintf("an answer leaves by the uplink in VLAN %d", vlan), func() bool {
			return slices.ContainsFunc(s.outside.arrived(), func(frame []byte) bool {
				return len(frame) > 32 && bytes.Equal(frame[12:16], binary.BigEndian.AppendUint32(nil, qTag|vlan)) &&
					bytes.Equal(frame[26:32], mac[:])
			})
		})
	}
	s.expectUnheard(t, s.app, s.idle)
	s.expectUnheard(t, s.twin, s.listener)
}

// TestVLANHostileFrames holds for each frame that nobody hears it, in no VLAN and not by the uplink.
func TestVLANHostileFrames(t *testing.T) {
	s := buildVLANs(t)
	s.stage.attachment = onBridge // their reasons are those on a bridge
	f := start(t, networks+ten+twenty)
	want := counts{}
	for _, h := range hostileFrames(s.stage) {
		s.app.send(t, h.frame)
		for _, silent := range []*guest{s.db, s.idle} {
			s.expectUnheard(t, s.app, silent)
		}
		s.expectUnheard(t, s.twin, s.listener)
		s.expectUnheardOutside(t, s.app)
		if h.reason != 0 {
			want[h.reason]++
		}
		f.expectCounts(t, "vnet1", want, h.name)
	}
	expectHostLearnedNothing(t)
}

// TestVLANTraffic holds for what app sends beside ARP who hears it, in whatever VLAN, and with whatever tag.
func TestVLANTraffic(t *testing.T) {
	s := buildVLANs(t)
	must(t, lab.JoinVLAN(s.app.Port, 20, false)) // the bridge itself would let it hop there
	f := start(t, networks+ten+twenty)
	for _, g := range []*guest{s.db, s.idle} { // now the bridge knows where they are
		s.marks++
		sendMark(t, g, s.app, s.marks)
	}
	for _, pair := range [][2]*guest{{s.twin, s.listener}, {s.listener, s.twin}} {
		s.marks++
		sendMark(t, pair[0], pair[1], s.marks)
	}
	want := counts{}
	for _, sending := range s.traffic() {
		s.app.send(t, sending.frame)
		for _, g := range []*guest{s.db, s.idle, s.outside, s.twin, s.listener} {
			s.awaitMark(t, g)
			frames := slices.DeleteFunc(g.arrived(), func(frame []byte) bool { return !carries(frame, sending.frame) })
			expected := sending.frame
			if g == s.outside {
				expected = tagged(expected, qTag|10)
			}
			switch heard := slices.Contains(sending.heard, g); {
			case heard && (len(frames) != 1 || !bytes.Equal(frames[0], expected)):
				t.Errorf("%s: %s heard %x, want %x", sending.name, g.Name, frames, expected)
			case !heard && len(frames) > 0:
				t.Errorf("%s: %s heard it: %x", sending.name, g.Name, frames)
			}
		}
		if !sending.passes {
			want[sending.reason]++
		}
		f.expectCounts(t, s.app.Port, want, sending.name)
	}
}

// traffic is what app sends, each frame another packet but for DHCP, of which the one that nobody hears comes first.
func (s *vlanStage) traffic() []sending {
	number := uint32(0)
	packet := func(to, from net.HardwareAddr, src netip.Addr) []byte {
		number++
		return lab.EchoReply(to, from, src, dbAddr, binary.BigEndian.AppendUint32([]byte("VLAN"), number))
	}
	db, app := s.db.MAC, s.app.MAC
	hop := func(name string, tags ...uint32) sending {
		return refused(name, responder.UnexpectedVLAN, tagged(packet(db, app, appAddr), tags...))
	}
	silent := net.HardwareAddr{0x02, 0, 0x0a, 0xde, 0x54, 0xa8}
	return []sending{
		{name: "own IPv4", frame: packet(db, app, appAddr), passes: true, heard: []*guest{s.db}},
		{name: "own IPv4, to one who has not spoken yet", frame: packet(silent, app, appAddr), passes: true,
			heard: []*guest{s.db, s.idle, s.outside}},
		refused("another's address", responder.SpoofedSource, packet(db, app, s.idle.Addr.Addr())),
		refused("nobody's address", responder.UnregisteredSource, packet(db, app, freeAddr)),
		refused("another's MAC", responder.SpoofedSource, packet(db, s.idle.MAC, appAddr)),
		refused("to all", responder.GroupDestination, packet(ethernet.Broadcast, app, appAddr)),
		hop("tag of another VLAN", qTag|20),
		hop("tag of its own VLAN", qTag|10),
		hop("tag of no VLAN", qTag),
		hop("802.1ad tag of another VLAN", adTag|20),
		hop("tag of another VLAN behind one of its own", qTag|10, qTag|20),
		hop("tag of another VLAN behind one of no VLAN", qTag, qTag|20),
		refused("tag of another VLAN, to all", responder.UnexpectedVLAN,
			tagged(packet(ethernet.Broadcast, app, appAddr), qTag|20)),
		refused("DHCP with a tag of another VLAN", responder.UnexpectedVLAN, tagged(s.discover().frame(), qTag|20)),
		{name: "DHCP", frame: s.discover().frame(), passes: true, heard: []*guest{s.outside}},
	}
}

// carries reports whether frame carries what another does, which begins behind its tags.
func carries(frame, other []byte) bool {
	const header, tag = 14, 4
	body := other[header:]
	for kind := other[12:]; kind[0] != 0x08; kind = kind[tag:] {
		body = body[tag:]
	}
	return bytes.Contains(frame, body)
}

// awaitMark sends a mark to a guest from one in its VLAN, and to outside from app: what app has sent before and is
// not there by then, will never be.
func (s *vlanStage) awaitMark(t *testing.T, at *guest) {
	t.Helper()
	s.marks++
	switch at {
	case s.outside:
		s.sendMarkOut(t, s.app)
	case s.twin:
		sendMark(t, s.listener, at, s.marks)
	case s.listener:
		sendMark(t, s.twin, at, s.marks)
	default:
		sendMark(t, s.app, at, s.marks)
	}
}

// TestVLANsOfAnUplink holds that what comes by the uplink reaches the guest in its tag's VLAN, of two with the same MAC.
func TestVLANsOfAnUplink(t *testing.T) {
	s := buildVLANs(t)
	start(t, networks+ten+twenty)
	for vlan, at := range map[uint32]*guest{10: s.db, 20: s.listener} {
		m := mark(s.outside, at, int(vlan))
		repeat(t, fmt.Sprintf("what comes in VLAN %d arrives", vlan),
			func() { s.outside.Send(tagged(m, qTag|vlan)) },
			func() bool { return at.hasSeen(m) })
	}
	s.awaitMark(t, s.db)
	s.awaitMark(t, s.listener)
	if s.db.hasSeen(mark(s.outside, s.listener, 20)) || s.listener.hasSeen(mark(s.outside, s.db, 10)) {
		t.Error("it arrives in the other VLAN too")
	}
}

// TestVLANPortMoves moves a port, whose guest shouts, from one network to another and back. It is answered by the
// one that it is in, nobody hears it at any moment, and other ports don't notice.
func TestVLANPortMoves(t *testing.T) {
	const throughBridge = "out of the bridge and back"
	ways := map[string]func(t *testing.T, f *running, g *guest, from, to uint16){
		"at once": func(t *testing.T, _ *running, g *guest, from, to uint16) { g.move(t, from, to) },
		"through none": func(t *testing.T, f *running, g *guest, from, to uint16) {
			must(t, lab.LeaveVLAN(g.Port, from))
			lab.Eventually(t, "it is in none", func() bool { return f.counts(g.Port) == nil })
			must(t, lab.JoinVLAN(g.Port, to, true))
		},
		throughBridge: func(t *testing.T, _ *running, g *guest, from, to uint16) {
			must(t, lab.ClearMaster(g.Port))
			must(t, lab.SetMaster(g.Port, bridgeName))
			g.move(t, defaultVLAN, to)
		},
	}
	for name, move := range ways {
		t.Run(name, func(t *testing.T) {
			s := buildVLANs(t)
			f := start(t, networks+ten+twenty)
			s.app.shout(t)
			s.db.send(t, s.db.request(gatewayAddr).Frame())
			f.expectCounts(t, s.db.Port, counts{responder.Answered: 1}, "a request")
			s.app.expectGateway(t, gatewayMAC)
			for range 3 {
				move(t, f, s.app, 10, 20)
				s.app.expectGateway(t, secondGatewayMAC)
				move(t, f, s.app, 20, 10)
				s.app.expectGateway(t, gatewayMAC)
			}
			s.expectUnheard(t, s.app, s.idle)
			s.expectUnheard(t, s.twin, s.listener)
			if name != throughBridge { // in between it is a new member
				s.expectUnheardOutside(t, s.app)
			}
			s.db.send(t, s.db.request(gatewayAddr).Frame())
			f.expectCounts(t, s.db.Port, counts{responder.Answered: 2}, "another port moved")
		})
	}
}

// TestVLANNewcomersAreApart has two guests join while the guard is alone: they hear each other in a VLAN that is no
// network's, and no more in one that is.
func TestVLANNewcomersAreApart(t *testing.T) {
	needClosedBridges(t)
	s := buildVLANs(t)
	start(t, networks+onVLAN("ten", 10, gatewayMAC)+"    policy: {on_stop: hold}\n").stop()
	one, other := addGuest(t, 6, "one"), addGuest(t, 7, "other")
	one.shout(t)
	other.shout(t)
	lab.Eventually(t, "they hear each other", func() bool { return len(one.heard()) > 0 && len(other.heard()) > 0 })
	one.move(t, defaultVLAN, 10)
	sendMark(t, s.app, s.db, 0) // what is on its way is there by now
	before := len(one.heard())
	other.move(t, defaultVLAN, 10)
	for n := range 10 {
		one.send(t, mark(one, other, n))
		sendMark(t, s.app, s.db, 1+n)
	}
	for _, frame := range one.heard()[before:] {
		t.Errorf("one heard %s (%x)", responder.Describe(frame), frame)
	}
	if other.hasSeen(mark(one, other, 0)) {
		t.Error("IPv4 of a newcomer reached another one")
	}
}

// TestVLANStranger holds that a member which is in no network's VLAN is left alone there, and that nothing of it
// reaches a guest port in a VLAN that it carries, tagged.
func TestVLANStranger(t *testing.T) {
	s := buildVLANs(t)
	stranger, neighbor := addGuest(t, 6, "stranger"), addGuest(t, 7, "neighbor")
	stranger.move(t, defaultVLAN, 99)
	neighbor.move(t, defaultVLAN, 99)
	must(t, lab.JoinVLAN(stranger.Port, 10, false))
	f := start(t, networks+ten+twenty)
	if f.counts(stranger.Port) != nil {
		t.Error("it is a guest port")
	}
	for _, frame := range [][]byte{stranger.request(dbAddr).Frame(), vary(stranger.request(dbAddr), to(s.db.MAC))} {
		stranger.send(t, frame)
		lab.Eventually(t, "it is heard in its own VLAN", func() bool { return neighbor.hasSeen(frame) })
		inTen := tagged(frame, qTag|10)
		stranger.send(t, inTen)
		if bytes.Equal(frame[:6], s.db.MAC) {
			continue // not flooded once db is known
		}
		lab.Eventually(t, "it is in VLAN 10", func() bool { return s.outside.hasSeen(inTen) })
	}
	data := mark(stranger, s.db, 1_000_000)
	stranger.send(t, tagged(data, qTag|10))
	s.expectUnheard(t, s.app, s.db)
	s.expectUnheard(t, s.app, s.idle)
	s.expectUnheard(t, s.twin, s.listener)
	if s.db.hasSeen(data) {
		t.Error("its data reached a guest")
	}
}

// TestVLANOfHost has the host, with the same address in both VLANs, ask in each.
func TestVLANOfHost(t *testing.T) {
	tests := []struct {
		name string
		ten  func(t *testing.T) string // makes the host's interface in VLAN 10
	}{
		{"a VLAN device", func(t *testing.T) string { return addHostIn(t, 10) }},
		{"the bridge itself", func(t *testing.T) string {
			must(t, lab.JoinVLAN(bridgeName, 10, true))
			return bridgeName
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := buildVLANs(t)
			own, other := tt.ten(t), addHostIn(t, 20)
			f := start(t, hostsIn(t, networks+ten+twenty))
			askFrom(t, own, gatewayAddr)
			expectHostNeighbor(t, own, gatewayAddr, gatewayMAC)
			if e, ok := hostNeighborOn(t, other, gatewayAddr); ok {
				t.Errorf("on %s, where nobody asked: %v", other, e)
			}
			askFrom(t, other, gatewayAddr)
			expectHostNeighbor(t, other, gatewayAddr, secondGatewayMAC)
			expectHostNeighbor(t, own, gatewayAddr, gatewayMAC)
			for _, device := range []string{own, other} {
				if err := dialFrom(device, dbAddr); !errors.Is(err, unix.ECONNREFUSED) {
					t.Errorf("dialling a guest from %s: %v", device, err)
				}
				f.expectCounts(t, device, counts{responder.Answered: 2}, "asking for two")
			}
			s.expectUnheard(t, s.app, s.idle)
		})
	}
}

// TestVLANOfHostOnATrunk has the host ask in a VLAN that only a guest of another one gets, tagged.
func TestVLANOfHostOnATrunk(t *testing.T) {
	s := buildVLANs(t)
	own, other := addHostIn(t, 10), addHostIn(t, 20)
	for _, g := range []*guest{s.app, s.db, s.idle} {
		g.move(t, 10, 20)
	}
	must(t, lab.JoinVLAN(s.app.Port, 10, false))
	f := start(t, hostsIn(t, networks+ten+twenty))
	askFrom(t, own, gatewayAddr)
	expectHostNeighbor(t, own, gatewayAddr, gatewayMAC)
	f.expectCounts(t, own, counts{responder.Answered: 1}, "asking")
	if e, ok := hostNeighborOn(t, other, gatewayAddr); ok {
		t.Errorf("on %s, where nobody asked: %v", other, e)
	}
	s.expectUnheard(t, s.db, s.app)
}

// addHostIn gives the host an interface in a VLAN, with its address.
func addHostIn(t *testing.T, vlan uint16) string {
	t.Helper()
	name := fmt.Sprintf("%s.%d", bridgeName, vlan)
	must(t, lab.JoinVLAN(bridgeName, vlan, false))
	must(t, lab.AddVLANDevice(name, bridgeName, vlan))
	must(t, lab.AddAddress(name, hostAddr))
	return name
}

// hostsIn adds the host's address to all networks.
func hostsIn(t *testing.T, configuration string) string {
	t.Helper()
	dev, err := net.InterfaceByName(bridgeName)
	must(t, err)
	binding := fmt.Sprintf("registry:\n      %s: %q\n", hostAddr.Addr(), dev.HardwareAddr)
	return strings.ReplaceAll(configuration, "registry:\n", binding)
}

// from makes what is dialled leave by an interface.
func from(device string) *net.Dialer {
	return &net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device) })
		return err
	}}
}

// dialFrom does what dial does, from an interface.
func dialFrom(device string, addr netip.Addr) error {
	ctx, cancel := context.WithTimeout(context.Background(), lab.Patience)
	defer cancel()
	_, err := from(device).DialContext(ctx, "tcp4", netip.AddrPortFrom(addr, 9).String())
	return err
}

// askFrom makes the host ask for an address on an interface.
func askFrom(t *testing.T, device string, addr netip.Addr) {
	t.Helper()
	conn, err := from(device).Dial("udp4", netip.AddrPortFrom(addr, 9).String())
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte{0})
	must(t, err)
}

func expectHostNeighbor(t *testing.T, device string, addr netip.Addr, want responder.MAC) {
	t.Helper()
	lab.Eventually(t, fmt.Sprintf("on %s, %s is at %s", device, addr, want), func() bool {
		e, ok := hostNeighborOn(t, device, addr)
		return ok && bytes.Equal(e.HardwareAddr, want[:])
	})
}

// TestReloadVLANs adds, removes and renumbers a network next to one that must not notice.
func TestReloadVLANs(t *testing.T) {
	s := buildVLANs(t)
	f := start(t, networks+ten)
	asked := uint64(0)
	unmoved := func(after string) {
		t.Helper()
		asked++
		s.app.send(t, s.app.request(gatewayAddr).Frame())
		f.expectCounts(t, s.app.Port, counts{responder.Answered: asked}, after)
	}
	alone := func(after string) {
		t.Helper()
		seen := len(s.listener.heard())
		repeat(t, "the twin is left alone after "+after,
			func() { s.twin.Send(s.twin.request(gatewayAddr).Frame()) },
			func() bool { return len(s.listener.heard()) > seen })
		unmoved(after)
	}
	alone("the start")
	f.reload(t, networks+ten+twenty)
	s.twin.expectGateway(t, secondGatewayMAC)
	unmoved("a network was added")
	f.reload(t, networks+ten)
	alone("a network was removed")
	f.reload(t, networks+ten+twenty)
	f.reload(t, networks+ten+onVLAN("twenty", 30, secondGatewayMAC))
	alone("a network was renumbered")
	s.listener.move(t, 20, 30)
	s.twin.move(t, 20, 30)
	s.twin.expectGateway(t, secondGatewayMAC)
	unmoved("ports moved")

	// From one VLAN to two, under other names: both are others.
	f.reload(t, networks+onVLAN("thirty", 30, gatewayMAC)+onVLAN("zehn", 10, gatewayMAC))
	s.twin.expectGateway(t, gatewayMAC)
	unmoved("networks were renamed")
	s.expectUnheard(t, s.app, s.idle)
}

// TestVLANFilteringEnds holds that guests are guarded when the bridge does not keep VLANs apart any more, and are
// answered when it does again.
func TestVLANFilteringEnds(t *testing.T) {
	s := buildVLANs(t)
	f := start(t, networks+ten+twenty)
	s.app.shout(t)
	s.twin.shout(t)
	s.app.expectGateway(t, gatewayMAC)
	must(t, lab.FilterVLANs(bridgeName, false))
	lab.Eventually(t, "the ports are gone", func() bool { return f.counts(s.app.Port) == nil })
	for _, silent := range []*guest{s.db, s.idle, s.listener} {
		s.expectUnheard(t, s.app, silent)
	}
	must(t, lab.FilterVLANs(bridgeName, true))
	s.app.expectGateway(t, gatewayMAC)
	s.twin.expectGateway(t, secondGatewayMAC)
	s.expectUnheard(t, s.app, s.idle)
	s.expectUnheard(t, s.twin, s.listener)
	s.expectUnheardOutside(t, s.app)
}

// TestVLANBridgeIsMadeAnew makes the bridge anew while guests shout, one step after the other, with new members in
// no VLAN. Nobody hears them at any moment.
func TestVLANBridgeIsMadeAnew(t *testing.T) {
	s := buildVLANs(t)
	f := start(t, networks+ten+twenty)
	s.app.shout(t)
	s.twin.shout(t)
	must(t, lab.DeleteLink(bridgeName))
	lab.Eventually(t, "the ports are gone", func() bool { return len(f.Counts()) == 0 })
	addBridge(t, bridgeName)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridgeName
	must(t, netlink.BridgeSetVlanDefaultPVID(&netlink.Bridge{LinkAttrs: attrs}, 0))
	for _, g := range []*guest{s.app, s.db, s.idle, s.twin, s.listener} {
		must(t, lab.SetMaster(g.Port, bridgeName))
	}
	s.expectUnheard(t, s.app, s.idle) // the bridge does not filter yet
	must(t, lab.FilterVLANs(bridgeName, true))
	for _, g := range []*guest{s.app, s.db, s.idle} {
		must(t, lab.JoinVLAN(g.Port, 10, true))
	}
	for _, g := range []*guest{s.twin, s.listener} {
		must(t, lab.JoinVLAN(g.Port, 20, true))
	}
	s.app.expectGateway(t, gatewayMAC)
	s.twin.expectGateway(t, secondGatewayMAC)
	s.expectUnheard(t, s.app, s.idle)
	s.expectUnheard(t, s.twin, s.listener)
}

// TestVLANNotFiltered has a bridge that does not filter VLANs. It runs on kernels that can't, too.
func TestVLANNotFiltered(t *testing.T) {
	s := build(t, onBridge)
	const want = "network ten: br0 does not filter VLANs, so no port belongs to VLAN 10; switch it on: " +
		"ip link set br0 type bridge vlan_filtering 1"
	err := fabric.New(loadConfig(t, networks+ten), nil).Run(context.Background())
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	f := start(t, network(s.attach))
	err = f.Reload(context.Background(), loadConfig(t, networks+ten))
	if err == nil || err.Error() != want {
		t.Errorf("after a reload: error %v, want %s", err, want)
	}
	s.app.ask(t)
	s.expectSilence(t, s.db, s.idle)
}

// TestNoVLANOfABridge holds that a network without a VLAN has all members of a bridge that filters VLANs.
func TestNoVLANOfABridge(t *testing.T) {
	s := buildVLANs(t)
	start(t, network("{bridge: br0}"))
	s.app.expectGateway(t, gatewayMAC)
	s.twin.expectGateway(t, gatewayMAC)
	s.expectUnheard(t, s.app, s.idle)
	s.expectUnheard(t, s.twin, s.listener)
}
