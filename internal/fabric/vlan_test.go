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

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A vlanStage is a stage whose bridge filters VLANs. Its two VLANs use the same addresses, and some guests in them have
// the same addresses and MACs:
//
//	VLAN 10: app, db, idle         VLAN 20: twin, as app; listener, as db
//
// outside is behind an uplink that carries both, tagged.
type vlanStage struct {
	*stage
	twin, listener, outside *guest

	marks int // number of marks sent
}

const uplink = "vnet9"

func buildVLANs(t *testing.T) *vlanStage {
	t.Helper()
	labtest.NeedVLANFiltering(t)
	s := &vlanStage{stage: build(t, attachment{"vlan", "{bridge: br0, vlan: 10}", "vnet1", true})}
	labtest.Must(t, labtest.FilterVLANs(bridgeName, true))
	s.twin, s.listener = addTwin(t, s.app, "twin", "vnet4"), addTwin(t, s.db, "listener", "vnet5")
	s.outside = addGuest(t, 9, "outside")
	for _, g := range []*guest{s.app, s.db, s.idle} {
		g.move(t, defaultVLAN, 10)
	}
	for _, g := range []*guest{s.twin, s.listener} {
		g.move(t, defaultVLAN, 20)
	}
	labtest.Must(t, labtest.LeaveVLAN(uplink, defaultVLAN))
	labtest.Must(t, labtest.JoinVLAN(uplink, 10, false))
	labtest.Must(t, labtest.JoinVLAN(uplink, 20, false))
	return s
}

// defaultVLAN is the VLAN of a new member of a bridge.
const defaultVLAN = 1

// addTwin makes a guest, a member of br0, with the address and the MAC of another guest.
func addTwin(t *testing.T, of *guest, name, port string) *guest {
	t.Helper()
	g := makeGuest(t, lab.GuestConfig{Name: name, Port: port, MAC: of.MAC, Addr: of.Addr})
	labtest.Must(t, lab.SetMaster(port, bridgeName))
	return g
}

// move moves the guest's port from one VLAN to another in one step.
func (g *guest) move(t *testing.T, from, to uint16) {
	t.Helper()
	labtest.Must(t, labtest.JoinVLAN(g.Port, to, true))
	labtest.Must(t, labtest.LeaveVLAN(g.Port, from))
}

// onVLAN returns the configuration of a network on a VLAN. It has the same bindings as the other networks, except its
// gateway, and a binding for the host behind the uplink.
func onVLAN(name string, vlan uint16, gateway registry.MAC) string {
	return fmt.Sprintf("  %s:\n    attach: {bridge: br0, vlan: %d, uplinks: [%s]}\n    registry:", name, vlan, uplink) +
		strings.Replace(labRegistry, gatewayMAC.String(), gateway.String(), 1) +
		"      10.239.0.109: \"02:00:0e:de:54:a8\"\n"
}

var (
	ten    = onVLAN("ten", 10, gatewayMAC)
	twenty = onVLAN("twenty", 20, secondGatewayMAC)
)

const networks = "networks:\n"

// expectGateway sends requests for the gateway until an answer says mac, and then checks that further answers do, too.
func (g *guest) expectGateway(t *testing.T, mac registry.MAC) {
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
			t.Errorf("%s receives another answer that the gateway is at %s; want %s", g.Name, other, mac)
		}
	}
}

// gateways returns the gateway's MACs in the answers that the guest has received.
func (g *guest) gateways() []registry.MAC {
	var macs []registry.MAC
	for _, frame := range g.answers() {
		if bytes.Equal(frame[28:32], gatewayAddr.AsSlice()) {
			macs = append(macs, registry.MAC(frame[22:28]))
		}
	}
	return macs
}

// expectUnheard checks that a guest that has sent nothing has received no ARP, with a mark from a guest in its VLAN.
func (s *vlanStage) expectUnheard(t *testing.T, from, silent *guest) {
	t.Helper()
	s.marks++
	sendMark(t, from, silent, s.marks)
	for _, frame := range silent.receivedARP() {
		t.Fatalf("%s received %s (%x)", silent.Name, responder.Describe(frame), frame)
	}
}

// expectUnheardOutside checks that no ARP has left by the uplink except app's right announcements, with a mark from one in
// VLAN 10.
func (s *vlanStage) expectUnheardOutside(t *testing.T, from *guest) {
	t.Helper()
	s.sendMarkOut(t, from)
	announcement := s.app.request(appAddr).Frame()
	for _, frame := range s.outside.receivedARP() {
		if bytes.HasPrefix(frame, tagged(announcement, qTag|10)) || bytes.HasPrefix(frame, tagged(announcement, qTag|20)) {
			continue
		}
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
		func() bool { return s.outside.hasReceived(tagged(m, qTag|10)) })
}

// TestVLANs checks that each of two networks on one bridge answers its own guests, and requests by an uplink with its
// VLAN's tag, which no guest receives.
func TestVLANs(t *testing.T) {
	s := buildVLANs(t)
	start(t, networks+ten+twenty)
	s.app.expectGateway(t, gatewayMAC)
	s.twin.expectGateway(t, secondGatewayMAC)

	request := s.outside.request(gatewayAddr).Frame()
	for vlan, mac := range map[uint32]registry.MAC{10: gatewayMAC, 20: secondGatewayMAC} {
		s.outside.send(t, tagged(request, qTag|vlan))
		labtest.Eventually(t, fmt.Sprintf("an answer leaves by the uplink in VLAN %d", vlan), func() bool {
			return slices.ContainsFunc(s.outside.received(), func(frame []byte) bool {
				return len(frame) > 32 && bytes.Equal(frame[12:16], binary.BigEndian.AppendUint32(nil, qTag|vlan)) &&
					bytes.Equal(frame[26:32], mac[:])
			})
		})
	}
	s.expectUnheard(t, s.app, s.idle)
	s.expectUnheard(t, s.twin, s.listener)
}

// TestVLANHostileFrames checks for each frame that no guest receives it, in either VLAN, and that none leaves by the uplink
// except right announcements.
func TestVLANHostileFrames(t *testing.T) {
	s := buildVLANs(t)
	s.stage.attachment = onBridge // the reasons are those on a bridge
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

// TestVLANTraffic checks which guests receive app's frames other than ARP, in any VLAN and with any tag.
func TestVLANTraffic(t *testing.T) {
	s := buildVLANs(t)
	labtest.Must(t, labtest.JoinVLAN(s.app.Port, 20, false)) // so that the bridge itself would accept its tagged frames
	f := start(t, networks+ten+twenty)
	for _, g := range []*guest{s.db, s.idle} { // so that their ports are known
		s.marks++
		sendMark(t, g, s.app, s.marks)
		expectNoFlood(t, g.Port)
	}
	for _, pair := range [][2]*guest{{s.twin, s.listener}, {s.listener, s.twin}} {
		s.marks++
		sendMark(t, pair[0], pair[1], s.marks)
	}
	want := counts{}
	for _, sending := range s.traffic() {
		s.app.send(t, sending.frame)
		for _, g := range []*guest{s.db, s.idle, s.outside, s.twin, s.listener} {
			s.sendMarkIn(t, g)
			frames := slices.DeleteFunc(g.received(), func(frame []byte) bool { return !carries(frame, sending.frame) })
			expected := sending.frame
			if g == s.outside {
				expected = tagged(expected, qTag|10)
			}
			switch heard := slices.Contains(sending.heard, g); {
			case heard && (len(frames) != 1 || !isCaptureOf(frames[0], expected)):
				t.Errorf("%s: %s received %x, want %x", sending.name, g.Name, frames, expected)
			case !heard && len(frames) > 0:
				t.Errorf("%s: %s received it: %x", sending.name, g.Name, frames)
			}
		}
		if !sending.passes || sending.reason == responder.RARPAnnouncement {
			want[sending.reason]++ // RARP passes by the fabric, which counts it
		}
		f.expectCounts(t, s.app.Port, want, sending.name)
	}
}

// traffic returns app's frames. Each is another packet, except DHCP, of which the one that no guest receives comes
// first.
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
	silent, itsAddr := net.HardwareAddr{0x02, 0, 0x0a, 0xde, 0x54, 0xa8}, netip.MustParseAddr("10.239.0.130")
	toSilent := lab.EchoReply(silent, app, appAddr, itsAddr, []byte("to one who is silent"))
	return []sending{
		{name: "own IPv4", frame: packet(db, app, appAddr), passes: true, heard: []*guest{s.db}},
		{name: "own IPv4, to one who has not spoken yet", frame: toSilent, passes: true,
			heard: []*guest{s.outside}}, // behind all other ports somebody else has spoken
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

// carries reports whether frame has the same contents as other behind its tags.
func carries(frame, other []byte) bool {
	const header, tag = 14, 4
	body := other[header:]
	for kind := other[12:]; kind[0] != 0x08; kind = kind[tag:] {
		body = body[tag:]
	}
	return bytes.Contains(frame, body[:min(len(body), wire.SnapLen/2)]) // a capture may be cut off
}

// isCaptureOf reports whether a capture, which may be cut off, is of a frame.
func isCaptureOf(capture, frame []byte) bool {
	return bytes.HasPrefix(frame, capture) && len(capture) >= min(len(frame), wire.SnapLen)
}

// sendMarkIn sends a mark to a guest from one in its VLAN, and to outside from app. Frames that app has sent before,
// and that have not arrived by then, never will.
func (s *vlanStage) sendMarkIn(t *testing.T, at *guest) {
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

// TestVLANInformsUplinks moves an address of one VLAN to another MAC. The announcement leaves by the uplink with the tag of
// that VLAN.
func TestVLANInformsUplinks(t *testing.T) {
	s := buildVLANs(t)
	f := start(t, networks+ten+twenty)
	f.reload(t, networks+ten+strings.Replace(twenty, secondGatewayMAC.String(), "02:00:0b:de:54:a8", 1))
	labtest.Eventually(t, "outside is informed", func() bool { return len(s.outside.receivedARP()) > 0 })
	const want = "vlan 20, ARP, Request who-has 10.239.0.1 tell 10.239.0.1, length 46"
	if heard := s.outside.receivedARP(); len(heard) != 1 || responder.Describe(heard[0]) != want {
		t.Errorf("outside received %s (%x); want %s", responder.Describe(heard[0]), heard, want)
	}
	s.expectUnheard(t, s.app, s.idle)
}

// TestVLANsOfAnUplink checks that a tagged frame from the uplink reaches the guest in that VLAN, although a guest in
// the other VLAN has the same MAC.
func TestVLANsOfAnUplink(t *testing.T) {
	s := buildVLANs(t)
	start(t, networks+ten+twenty)
	for vlan, at := range map[uint32]*guest{10: s.db, 20: s.listener} {
		m := mark(s.outside, at, int(vlan))
		repeat(t, fmt.Sprintf("what comes in VLAN %d arrives", vlan),
			func() { s.outside.Send(tagged(m, qTag|vlan)) },
			func() bool { return at.hasReceived(m) })
	}
	s.sendMarkIn(t, s.db)
	s.sendMarkIn(t, s.listener)
	if s.db.hasReceived(mark(s.outside, s.listener, 20)) || s.listener.hasReceived(mark(s.outside, s.db, 10)) {
		t.Error("it arrives in the other VLAN too")
	}
}

// TestVLANPortMoves moves a port, whose guest sends ARP all the time, from one network to another and back. The network
// that it is in answers it. No guest receives its ARP at any moment, and other ports keep their counters.
func TestVLANPortMoves(t *testing.T) {
	const throughBridge = "out of the bridge and back"
	ways := map[string]func(t *testing.T, f *running, g *guest, from, to uint16){
		"at once": func(t *testing.T, _ *running, g *guest, from, to uint16) { g.move(t, from, to) },
		"through none": func(t *testing.T, f *running, g *guest, from, to uint16) {
			labtest.Must(t, labtest.LeaveVLAN(g.Port, from))
			labtest.Eventually(t, "it is in none", func() bool { return f.counts(g.Port) == nil })
			labtest.Must(t, labtest.JoinVLAN(g.Port, to, true))
		},
		throughBridge: func(t *testing.T, _ *running, g *guest, from, to uint16) {
			labtest.Must(t, labtest.ClearMaster(g.Port))
			labtest.Must(t, lab.SetMaster(g.Port, bridgeName))
			g.move(t, defaultVLAN, to)
		},
	}
	for name, move := range ways {
		t.Run(name, func(t *testing.T) {
			s := buildVLANs(t)
			f := start(t, networks+ten+twenty)
			s.app.sendARPRepeatedly(t)
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
			if name != throughBridge { // which makes it a new member
				s.expectUnheardOutside(t, s.app)
			}
			s.db.send(t, s.db.request(gatewayAddr).Frame())
			f.expectCounts(t, s.db.Port, counts{responder.Answered: 2}, "another port moved")
		})
	}
}

// TestVLANNewGuestsAreIsolated has two guests join while only the guard is there and no fabric runs. They receive each
// other's frames in a VLAN without a network, and not in a VLAN with one.
func TestVLANNewGuestsAreIsolated(t *testing.T) {
	needClosedBridges(t)
	s := buildVLANs(t)
	start(t, networks+onVLAN("ten", 10, gatewayMAC)+"    policy: {on_stop: hold}\n").stop()
	one, other := addGuest(t, 6, "one"), addGuest(t, 7, "other")
	one.sendARPRepeatedly(t)
	other.sendARPRepeatedly(t)
	labtest.Eventually(t, "they receive the ARP of each other", func() bool { return len(one.receivedARP()) > 0 && len(other.receivedARP()) > 0 })
	one.move(t, defaultVLAN, 10)
	sendMark(t, s.app, s.db, 0) // frames that were sent before have arrived
	before := len(one.receivedARP())
	other.move(t, defaultVLAN, 10)
	for n := range 10 {
		one.send(t, mark(one, other, n))
		sendMark(t, s.app, s.db, 1+n)
	}
	for _, frame := range one.receivedARP()[before:] {
		t.Errorf("one heard %s (%x)", responder.Describe(frame), frame)
	}
	if other.hasReceived(mark(one, other, 0)) {
		t.Error("IPv4 of a newcomer reached another one")
	}
}

// TestVLANMemberOfNoNetwork checks that a member whose VLAN has no network is not guarded there, and that its frames
// with the tag of a network's VLAN reach no guest port.
func TestVLANMemberOfNoNetwork(t *testing.T) {
	s := buildVLANs(t)
	stranger, neighbor := addGuest(t, 6, "stranger"), addGuest(t, 7, "neighbor")
	stranger.move(t, defaultVLAN, 99)
	neighbor.move(t, defaultVLAN, 99)
	labtest.Must(t, labtest.JoinVLAN(stranger.Port, 10, false))
	f := start(t, networks+ten+twenty)
	if f.counts(stranger.Port) != nil {
		t.Error("it is a guest port")
	}
	for _, frame := range [][]byte{stranger.request(dbAddr).Frame(), vary(stranger.request(dbAddr), to(s.db.MAC))} {
		stranger.send(t, frame)
		labtest.Eventually(t, "it is heard in its own VLAN", func() bool { return neighbor.hasReceived(frame) })
		inTen := tagged(frame, qTag|10)
		stranger.send(t, inTen)
		if bytes.Equal(frame[:6], s.db.MAC) {
			continue // not flooded, because the bridge has learned db's port
		}
		labtest.Eventually(t, "it is in VLAN 10", func() bool { return s.outside.hasReceived(inTen) })
	}
	data := mark(stranger, s.db, 1_000_000)
	stranger.send(t, tagged(data, qTag|10))
	s.expectUnheard(t, s.app, s.db)
	s.expectUnheard(t, s.app, s.idle)
	s.expectUnheard(t, s.twin, s.listener)
	if s.db.hasReceived(data) {
		t.Error("its data reached a guest")
	}
}

// TestVLANOfHost has the host, with the same address in both VLANs, send requests in each.
func TestVLANOfHost(t *testing.T) {
	tests := []struct {
		name string
		ten  func(t *testing.T) string // makes the host's interface in VLAN 10
	}{
		{"a VLAN device", func(t *testing.T) string { return addHostIn(t, 10) }},
		{"the bridge itself", func(t *testing.T) string {
			labtest.Must(t, labtest.JoinVLAN(bridgeName, 10, true))
			return bridgeName
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := buildVLANs(t)
			own, other := tt.ten(t), addHostIn(t, 20)
			requestOnce(t, own, other)
			f := start(t, hostsIn(t, networks+ten+twenty))
			askFrom(t, own, gatewayAddr)
			expectHostNeighbor(t, own, gatewayAddr, gatewayMAC)
			if e, ok := hostNeighborOn(t, other, gatewayAddr); ok {
				t.Errorf("on %s, without a request: %v", other, e)
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

// TestVLANOfHostOnATrunk has the host send requests in a VLAN whose only member is a guest port of another VLAN,
// tagged.
func TestVLANOfHostOnATrunk(t *testing.T) {
	s := buildVLANs(t)
	own, other := addHostIn(t, 10), addHostIn(t, 20)
	requestOnce(t, own, other)
	for _, g := range []*guest{s.app, s.db, s.idle} {
		g.move(t, 10, 20)
	}
	labtest.Must(t, labtest.JoinVLAN(s.app.Port, 10, false))
	f := start(t, hostsIn(t, networks+ten+twenty))
	askFrom(t, own, gatewayAddr)
	expectHostNeighbor(t, own, gatewayAddr, gatewayMAC)
	f.expectCounts(t, own, counts{responder.Answered: 1}, "asking")
	if e, ok := hostNeighborOn(t, other, gatewayAddr); ok {
		t.Errorf("on %s, without a request: %v", other, e)
	}
	s.expectUnheard(t, s.db, s.app)
}

// addHostIn gives the host an interface in a VLAN, with its address.
func addHostIn(t *testing.T, vlan uint16) string {
	t.Helper()
	name := fmt.Sprintf("%s.%d", bridgeName, vlan)
	labtest.Must(t, labtest.JoinVLAN(bridgeName, vlan, false))
	labtest.Must(t, labtest.AddVLANDevice(name, bridgeName, vlan))
	labtest.Must(t, labtest.AddAddress(name, hostAddr))
	return name
}

// hostsIn adds the host's address to all networks.
func hostsIn(t *testing.T, configuration string) string {
	t.Helper()
	dev, err := net.InterfaceByName(bridgeName)
	labtest.Must(t, err)
	binding := fmt.Sprintf("registry:\n      %s: %q\n", hostAddr.Addr(), dev.HardwareAddr)
	return strings.ReplaceAll(configuration, "registry:\n", binding)
}

// from returns a Dialer whose packets leave by an interface.
func from(device string) *net.Dialer {
	return &net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device) })
		return err
	}}
}

// dialFrom does what dial does, from an interface.
func dialFrom(device string, addr netip.Addr) error {
	ctx, cancel := context.WithTimeout(context.Background(), labtest.Patience)
	defer cancel()
	_, err := from(device).DialContext(ctx, "tcp4", netip.AddrPortFrom(addr, 9).String())
	return err
}

// askFrom makes the host send a request for an address on an interface.
func askFrom(t *testing.T, device string, addr netip.Addr) {
	t.Helper()
	conn, err := from(device).Dial("udp4", netip.AddrPortFrom(addr, 9).String())
	labtest.Must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte{0})
	labtest.Must(t, err)
}

func expectHostNeighbor(t *testing.T, device string, addr netip.Addr, want registry.MAC) {
	t.Helper()
	labtest.Eventually(t, fmt.Sprintf("on %s, %s is at %s", device, addr, want), func() bool {
		e, ok := hostNeighborOn(t, device, addr)
		return ok && bytes.Equal(e.HardwareAddr, want[:])
	})
}

// TestReloadVLANs adds and removes a network, and changes its VLAN, next to another network that must not be disturbed.
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
		seen := len(s.listener.receivedARP())
		repeat(t, "the twin is left alone after "+after,
			func() { s.twin.Send(s.twin.request(gatewayAddr).Frame()) },
			func() bool { return len(s.listener.receivedARP()) > seen })
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

	// From one VLAN to two, with other names: both are new networks.
	f.reload(t, networks+onVLAN("thirty", 30, gatewayMAC)+onVLAN("zehn", 10, gatewayMAC))
	s.twin.expectGateway(t, gatewayMAC)
	unmoved("networks were renamed")
	s.expectUnheard(t, s.app, s.idle)
}

// TestVLANFilteringEnds checks that guests stay guarded when the bridge stops filtering VLANs, and are answered when it
// filters them again.
func TestVLANFilteringEnds(t *testing.T) {
	s := buildVLANs(t)
	f := start(t, networks+ten+twenty)
	s.app.sendARPRepeatedly(t)
	s.twin.sendARPRepeatedly(t)
	s.app.expectGateway(t, gatewayMAC)
	labtest.Must(t, labtest.FilterVLANs(bridgeName, false))
	labtest.Eventually(t, "the ports are gone", func() bool { return f.counts(s.app.Port) == nil })
	for _, silent := range []*guest{s.db, s.idle, s.listener} {
		s.expectUnheard(t, s.app, silent)
	}
	labtest.Must(t, labtest.FilterVLANs(bridgeName, true))
	s.app.expectGateway(t, gatewayMAC)
	s.twin.expectGateway(t, secondGatewayMAC)
	s.expectUnheard(t, s.app, s.idle)
	s.expectUnheard(t, s.twin, s.listener)
	s.expectUnheardOutside(t, s.app)
}

// TestVLANBridgeIsRecreated deletes the bridge and makes it again, step by step, while guests send ARP all the time.
// New members are in no VLAN at first. No guest receives the ARP at any moment.
func TestVLANBridgeIsRecreated(t *testing.T) {
	s := buildVLANs(t)
	f := start(t, networks+ten+twenty)
	s.app.sendARPRepeatedly(t)
	s.twin.sendARPRepeatedly(t)
	labtest.Must(t, lab.DeleteLink(bridgeName))
	labtest.Eventually(t, "the ports are gone", func() bool { return len(f.Counts()) == 0 })
	addBridge(t, bridgeName)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridgeName
	labtest.Must(t, netlink.BridgeSetVlanDefaultPVID(&netlink.Bridge{LinkAttrs: attrs}, 0))
	for _, g := range []*guest{s.app, s.db, s.idle, s.twin, s.listener} {
		labtest.Must(t, lab.SetMaster(g.Port, bridgeName))
	}
	s.expectUnheard(t, s.app, s.idle) // the bridge does not filter yet
	labtest.Must(t, labtest.FilterVLANs(bridgeName, true))
	for _, g := range []*guest{s.app, s.db, s.idle} {
		labtest.Must(t, labtest.JoinVLAN(g.Port, 10, true))
	}
	for _, g := range []*guest{s.twin, s.listener} {
		labtest.Must(t, labtest.JoinVLAN(g.Port, 20, true))
	}
	s.app.expectGateway(t, gatewayMAC)
	s.twin.expectGateway(t, secondGatewayMAC)
	s.expectUnheard(t, s.app, s.idle)
	s.expectUnheard(t, s.twin, s.listener)
}

// TestVLANNotFiltered checks the error for a bridge that does not filter VLANs. It also runs on kernels without VLAN
// filtering.
func TestVLANNotFiltered(t *testing.T) {
	s := build(t, onBridge)
	const want = "br0 does not filter VLANs, so no port belongs to VLAN 10; switch it on: " +
		"ip link set br0 type bridge vlan_filtering 1"
	f := start(t, networks+ten)
	if got := f.Waiting()["ten"]; got != want {
		t.Errorf("at the start ten waits for %q, want %q", got, want)
	}
	f.reload(t, network(s.attach))
	if waiting := f.Waiting(); len(waiting) > 0 {
		t.Errorf("there are still waiting %v", waiting)
	}
	s.app.ask(t)
	s.expectSilence(t, s.db, s.idle)
}

// TestNetworkWithoutVLAN checks that a network without a VLAN has all members of a bridge that filters VLANs.
func TestNetworkWithoutVLAN(t *testing.T) {
	s := buildVLANs(t)
	start(t, network("{bridge: br0}"))
	s.app.expectGateway(t, gatewayMAC)
	s.twin.expectGateway(t, gatewayMAC)
	s.expectUnheard(t, s.app, s.idle)
	s.expectUnheard(t, s.twin, s.listener)
}
