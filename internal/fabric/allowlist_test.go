package fabric_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
)

// Further bindings of app. Those with a port need an attachment to a bridge.
const (
	moreOfApp = `registry:
      10.239.0.112-10.239.0.118: "02:00:06:de:54:a8"
`
	boundToPorts = `      10.239.0.110: {mac: "02:00:06:de:54:a8", port: vnet1}
      10.239.0.111: {mac: "02:00:06:de:54:a8", port: vnet2}
      192.168.7.0/29: {mac: "02:00:06:de:54:a8", port: vnet1}
      192.168.8.0/29: {mac: "02:00:06:de:54:a8", port: vnet2}
`
)

// configuration returns a configuration with the registry of most tests, the host's address, and more addresses of app.
func (s *allowListStage) configuration(t *testing.T, rest ...string) string {
	t.Helper()
	more := moreOfApp
	if s.outside != nil {
		more += boundToPorts
	}
	return strings.Replace(withHost(t, network(s.attach, rest...)), "registry:\n", more, 1)
}

// A packet is a frame with an IPv4 packet, of which a guest may forge every field: an ICMP echo reply, or UDP.
type packet struct {
	to, from net.HardwareAddr
	src, dst netip.Addr

	udp              bool
	srcPort, dstPort uint16       // only if udp is true
	dhcp             *dhcpMessage // the payload of UDP; nil for none

	fragment uint16 // flags and fragment offset (RFC 791, section 3.1)
}

func (p packet) frame() []byte {
	const icmp, udp = 1, 17
	payload := []byte{0, 0, 0xff, 0xff, 0, 0, 0, 0}
	protocol := byte(icmp)
	if p.udp {
		protocol = udp
		payload = binary.BigEndian.AppendUint16(nil, p.srcPort)
		payload = binary.BigEndian.AppendUint16(payload, p.dstPort)
		var data []byte
		if p.dhcp != nil {
			data = p.dhcp.bytes(p.from)
		}
		payload = binary.BigEndian.AppendUint16(payload, uint16(8+len(data)))
		payload = append(append(payload, 0, 0), data...)
	}
	header := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0}
	binary.BigEndian.PutUint16(header[2:], uint16(len(header)+8+len(payload)))
	binary.BigEndian.PutUint16(header[6:], p.fragment)
	header = slices.Concat(header, p.src.AsSlice(), p.dst.AsSlice())
	binary.BigEndian.PutUint16(header[10:], lab.Checksum(header))
	return slices.Concat(p.to, p.from, []byte{0x08, 0x00}, header, payload)
}

func (p packet) with(change func(*packet)) []byte {
	change(&p)
	return p.frame()
}

// rarp is the EtherType of RARP, which QEMU sends after a migration.
const rarp = 0x8035

// other returns a frame with an EtherType, or with a length if etherType is at most 1500.
func other(to, from net.HardwareAddr, etherType uint16, payload ...byte) []byte {
	frame := binary.BigEndian.AppendUint16(slices.Concat(to, from), etherType)
	return append(frame, append(payload, make([]byte, 46-len(payload))...)...)
}

// patched returns a copy of a frame with other bytes at an offset.
func patched(frame []byte, at int, with ...byte) []byte {
	frame = bytes.Clone(frame)
	copy(frame[at:], with)
	return frame
}

// ipv6 returns an IPv6 packet (RFC 8200, section 3) of a protocol that hosts ignore. It is not empty, because a bridge
// with multicast snooping drops empty multicasts.
func ipv6(to, from net.HardwareAddr) []byte {
	const noNextHeader = 59
	header := append([]byte{0x60, 0, 0, 0, 0, 8, noNextHeader, 64}, make([]byte, 32)...)
	header[8], header[24], header[39] = 0xfd, 0xfd, 1 // unique local addresses
	if to[0]&1 != 0 {
		header[24], header[25] = 0xff, 0x02 // all nodes
	}
	return slices.Concat(to, from, []byte{0x86, 0xdd}, header, make([]byte, 8))
}

// An allowListStage has receivers for app's frames besides the guests: the host, and a host behind an uplink, unless
// the attachment is a TAP. All of them have sent a frame, so that the bridge has learned their ports.
type allowListStage struct {
	*stage
	host, outside *guest // outside is nil with a TAP
}

func buildAllowList(t *testing.T, s *stage) *allowListStage {
	t.Helper()
	a := &allowListStage{stage: s}
	if s.attachment == onBridge {
		a.outside = addGuest(t, 4, "outside")
		a.attach = "{bridge: br0, uplinks: [vnet4]}"
	}
	own, err := net.InterfaceByName(bridgeName) // now, because its MAC changes with its members
	labtest.Must(t, err)
	capture, err := lab.StartCapture(bridgeName)
	labtest.Must(t, err)
	t.Cleanup(func() { capture.Close() })
	asGuest := &lab.Guest{GuestConfig: lab.GuestConfig{Name: "host", MAC: own.HardwareAddr, Addr: hostAddr}}
	a.host = &guest{Guest: asGuest, Capture: capture}
	return a
}

// listeners returns all receivers: everyone except app.
func (s *allowListStage) listeners() []*guest {
	all := []*guest{s.db, s.idle, s.host}
	if s.outside != nil {
		all = append(all, s.outside)
	}
	return all
}

// introduce makes app and all receivers send a frame, and waits until the bridge knows their ports.
func (s *allowListStage) introduce(t *testing.T, number int) {
	t.Helper()
	known := []*guest{s.app}
	for _, g := range s.listeners() {
		if g != s.host {
			sendMark(t, g, s.app, number)
			known = append(known, g)
		}
	}
	sendMark(t, s.app, s.db, number)
	for _, g := range known {
		labtest.Eventually(t, "the bridge knows the port of "+g.Name, func() bool {
			return slices.Equal(learnedBehind(t, g.MAC), []string{g.Port})
		})
	}
}

// expectInPlace checks that the bridge has no MAC on a wrong port. The host's entry is permanent, and not checked.
func (s *allowListStage) expectInPlace(t *testing.T) {
	t.Helper()
	for _, g := range append(s.listeners(), s.app) {
		if g != s.host {
			expectBehind(t, g.MAC, g.Port)
		}
	}
}

// A sending is a frame that app sends, with the expected result.
type sending struct {
	name   string
	frame  []byte
	reason responder.Reason
	passes bool
	heard  []*guest // the guests that receive it

	unsampled bool // the bridge drops it before any hook
}

func (s *allowListStage) sendings() []sending {
	return slices.Concat(s.addresses(), s.bound(), s.destinations(), s.otherKinds(), s.newcomers())
}

// toDB returns a packet that app may send.
func (s *allowListStage) toDB() packet {
	return packet{to: s.db.MAC, from: s.app.MAC, src: appAddr, dst: dbAddr}
}

func refused(name string, reason responder.Reason, frame []byte) sending {
	return sending{name: name, frame: frame, reason: reason}
}

// unsampled returns a sending of a frame that the bridge itself drops before any hook.
func unsampled(name string, reason responder.Reason, frame []byte) sending {
	return sending{name: name, frame: frame, reason: reason, unsampled: true}
}

func (s *allowListStage) addresses() []sending {
	own, from, passes := s.toDB(), s.from, s.passes
	return []sending{
		passes("own IPv4", own.frame()),
		passes("from the first of a range", from("10.239.0.112")),
		passes("from the last of a range", from("10.239.0.118")),
		refused("next to a range", responder.UnregisteredSource, from("10.239.0.119")),
		refused("in another's range", responder.SpoofedSource, from("10.239.0.130")),
		refused("another's address", responder.SpoofedSource, from("10.239.0.103")),
		refused("the receiver's address", responder.SpoofedSource, from("10.239.0.102")),
		refused("the host's address", responder.SpoofedSource, from("10.239.0.254")),
		refused("nobody's address", responder.UnregisteredSource, from("10.239.0.200")),
		refused("no address", responder.UnregisteredSource, from("0.0.0.0")),
		refused("loopback address", responder.UnregisteredSource, from("127.0.0.1")),
		refused("broadcast address", responder.UnregisteredSource, from("255.255.255.255")),
		refused("another's MAC", responder.SpoofedSource, own.with(func(p *packet) { p.from = s.idle.MAC })),
		refused("a stranger's MAC", responder.SpoofedSource, own.with(func(p *packet) { p.from = stranger })),
		refused("the host's MAC", responder.SpoofedSource, own.with(func(p *packet) { p.from = s.host.MAC })),
		refused("the host's MAC and address", responder.SpoofedSource,
			own.with(func(p *packet) { p.from, p.src = s.host.MAC, hostAddr.Addr() })),
		unsampled("no MAC", responder.InvalidSenderMAC, own.with(func(p *packet) { p.from = make([]byte, 6) })),
		unsampled("a group's MAC", responder.InvalidSenderMAC, own.with(func(p *packet) { p.from = toGroup })),
	}
}

// bound returns frames from addresses that are bound to ports.
func (s *allowListStage) bound() []sending {
	if s.outside == nil {
		return nil
	}
	passes, from := s.passes, s.from
	return []sending{
		passes("bound to this port", from("10.239.0.110")),
		passes("from the first of a range bound to this port", from("192.168.7.0")),
		passes("from the last of a range bound to this port", from("192.168.7.7")),
		refused("next to a range bound to this port", responder.UnregisteredSource, from("192.168.7.8")),
		refused("bound to another port", responder.SpoofedSource, from("10.239.0.111")),
		refused("in a range bound to another port", responder.SpoofedSource, from("192.168.8.1")),
	}
}

// discover returns app's DHCP request for an address.
func (s *stage) discover() packet {
	return packet{
		to: ethernet.Broadcast, from: s.app.MAC, src: unspecified, dst: netip.MustParseAddr("255.255.255.255"),
		udp: true, srcPort: 68, dstPort: 67, dhcp: &dhcpMessage{op: 1, htype: 1, hlen: 6, giaddr: unspecified},
	}
}

// from returns a frame from an address of app's choice to db.
func (s *allowListStage) from(addr string) []byte {
	return s.toDB().with(func(p *packet) { p.src = netip.MustParseAddr(addr) })
}

// passes returns a sending of a frame that only db receives.
func (s *allowListStage) passes(name string, frame []byte) sending {
	return sending{name: name, frame: frame, reason: responder.Admitted, passes: true, heard: []*guest{s.db}}
}

// nobody and stranger are MACs without a binding. No frame is sent from nobody, so that no bridge learns it. The others
// are group addresses.
var (
	nobody      = net.HardwareAddr{0x02, 0xff, 0xff, 0xff, 0xff, 0xff}
	stranger    = net.HardwareAddr{0x02, 0xff, 0xff, 0xff, 0xff, 0xfe}
	toGroup     = net.HardwareAddr{0x01, 0x00, 0x5e, 0, 0, 1}
	toIPv6Group = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
	toBridges   = net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0}
	toPorts     = net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 3} // 802.1X
	toNeighbors = net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0x0e}
)

func (s *allowListStage) destinations() []sending {
	own := s.toDB()
	to := func(mac net.HardwareAddr) []byte { return own.with(func(p *packet) { p.to = mac }) }
	// It may be behind an uplink, or behind a port on which nobody has spoken. With a TAP, the bridge floods to all.
	silent := slices.DeleteFunc(s.listeners(), func(g *guest) bool { return g == s.host || s.outside != nil && g != s.outside })
	return []sending{
		{name: "to the host", frame: to(s.host.MAC), reason: responder.Admitted, passes: true, heard: []*guest{s.host}},
		{name: "to a registered MAC that has not spoken yet", frame: own.with(func(p *packet) {
			p.to, p.dst = net.HardwareAddr{0x02, 0, 0x0a, 0xde, 0x54, 0xa8}, netip.MustParseAddr("10.239.0.128")
		}), reason: responder.Admitted, passes: true, heard: silent},
		refused("to all", responder.GroupDestination, to(ethernet.Broadcast)),
		refused("to all on the subnet", responder.GroupDestination, own.with(func(p *packet) {
			p.to, p.dst = ethernet.Broadcast, netip.MustParseAddr("10.239.0.255")
		})),
		refused("to a group", responder.GroupDestination, to(toGroup)),
		refused("to an IPv6 group", responder.GroupDestination, to(toIPv6Group)),
		refused("to bridges", responder.GroupDestination, to(toBridges)),
		refused("to nobody", responder.UnknownDestination, to(nobody)),
		refused("to zero", responder.UnknownDestination, to(make([]byte, 6))),
	}
}

func (s *allowListStage) otherKinds() []sending {
	const oldTag = 0x9100_0000
	own, all := s.toDB().frame(), s.toDB().with(func(p *packet) { p.to = ethernet.Broadcast })
	app, db := s.app.MAC, s.db.MAC
	return []sending{
		refused("tag, VLAN 0", responder.UnexpectedVLAN, tagged(own, qTag)),
		refused("tag, VLAN 0, to all", responder.UnexpectedVLAN, tagged(all, qTag)),
		refused("tag, VLAN 5", responder.UnexpectedVLAN, tagged(own, qTag|5)),
		refused("802.1ad tag, VLAN 0", responder.UnexpectedVLAN, tagged(own, adTag)),
		refused("802.1ad tag, VLAN 5, to all", responder.UnexpectedVLAN, tagged(all, adTag|5)),
		refused("0x9100 tag", responder.UnexpectedVLAN, tagged(own, oldTag|5)),
		refused("two tags", responder.UnexpectedVLAN, tagged(own, adTag|5, qTag|5)),
		refused("two tags, VLAN 0", responder.UnexpectedVLAN, tagged(own, qTag, qTag)),
		refused("IPv6 in the EtherType of IPv4", responder.Malformed, patched(own, 14, 0x60)),
		refused("an IPv4 header of 4 words", responder.Malformed, patched(own, 14, 0x44)),
		refused("IPv4 that is shorter than it says", responder.Malformed, patched(own, 16, 0x08, 0x06)),
		refused("IPv4 that is shorter than its header, as it says", responder.Malformed, patched(own, 16, 0, 19)),
		refused("LLDP", responder.UnsupportedEtherType, other(toNeighbors, app, 0x88cc)),
		refused("802.1X", responder.UnsupportedEtherType, other(toPorts, app, 0x888e)),
		refused("LLDP to db", responder.UnsupportedEtherType, other(db, app, 0x88cc)),
		refused("LLDP to all", responder.UnsupportedEtherType, other(ethernet.Broadcast, app, 0x88cc)),
		refused("PPPoE discovery", responder.UnsupportedEtherType, other(ethernet.Broadcast, app, 0x8863)),
		refused("PPPoE to db", responder.UnsupportedEtherType, other(db, app, 0x8864)),
		refused("local experimental", responder.UnsupportedEtherType, other(db, app, 0x88b5)),
		refused("spanning tree", responder.UnsupportedEtherType, other(toBridges, app, 38, 0x42, 0x42, 0x03)),
		refused("LLC to db", responder.UnsupportedEtherType, other(db, app, 38, 0xfe, 0xfe, 0x03)),
		refused("IPv6 to a group", responder.IPv6, ipv6(toIPv6Group, app)),
		refused("IPv6 to db", responder.IPv6, ipv6(db, app)),
		refused("IPv6 in db's name", responder.IPv6, ipv6(s.idle.MAC, db)),
	}
}

func (s *allowListStage) newcomers() []sending {
	discover := s.discover()
	servers := []*guest{s.host}
	if s.outside != nil {
		servers = append(servers, s.outside)
	}
	return []sending{
		{name: "DHCP", frame: discover.frame(), reason: responder.DHCPClient, passes: true, heard: servers},
		{
			name: "DHCP that rebinds", frame: discover.with(func(p *packet) { p.src = appAddr }),
			reason: responder.DHCPClient, passes: true, heard: servers,
		},
		refused("DHCP that rebinds another's address", responder.SpoofedSource, discover.with(func(p *packet) { p.src = dbAddr })),
		refused("a later fragment like DHCP", responder.UnregisteredSource, discover.with(func(p *packet) { p.fragment = 0x2001 })),
		refused("a later fragment like DHCP that rebinds", responder.GroupDestination,
			discover.with(func(p *packet) { p.src, p.fragment = appAddr, 1 })),
		refused("DHCP from a stranger's MAC", responder.UnregisteredMAC, discover.with(func(p *packet) { p.from = stranger })),
		refused("DHCP to db", responder.UnregisteredSource, discover.with(func(p *packet) { p.to = s.db.MAC })),
		refused("DHCP to a host", responder.UnregisteredSource, discover.with(func(p *packet) { p.dst = dbAddr })),
		refused("DHCP by a server", responder.UnregisteredSource,
			discover.with(func(p *packet) { p.srcPort, p.dstPort = 67, 68 })),
		refused("DHCP by a server with an address", responder.GroupDestination,
			discover.with(func(p *packet) { p.src, p.srcPort, p.dstPort = appAddr, 67, 68 })),
		{name: "RARP", frame: other(ethernet.Broadcast, s.app.MAC, rarp, 0, 1), reason: responder.RARPAnnouncement, passes: true},
		{name: "RARP to db", frame: other(s.db.MAC, s.app.MAC, rarp, 0, 1), reason: responder.RARPAnnouncement, passes: true},
		refused("RARP from a stranger's MAC", responder.UnregisteredMAC, other(ethernet.Broadcast, stranger, rarp, 0, 1)),
	}
}

// TestAllowList checks for each frame which guests receive it, that its reason is counted if it was refused, and that
// the responder's verdict agrees with the kernel.
func TestAllowList(t *testing.T) {
	each(t, guarded, func(t *testing.T, built *stage) {
		s := buildAllowList(t, built)
		configuration := s.configuration(t)
		fabric := start(t, configuration)
		decider := responderOf(t, configuration)
		s.introduce(t, 1_000_000)
		want := counts{}
		for i, sending := range s.sendings() {
			s.play(t, decider, sending, i)
			if s.outside == nil {
				continue // the fabric sees no such frames there, and does not count them
			}
			if !sending.passes && !sending.unsampled || sending.reason == responder.RARPAnnouncement {
				want[sending.reason]++ // RARP passes by the fabric, which counts it
			}
			fabric.expectCounts(t, s.app.Port, want, sending.name)
		}
	})
}

// responderOf returns the responder of the only network of a configuration.
func responderOf(t *testing.T, configuration string) *responder.Responder {
	t.Helper()
	n := loadConfig(t, configuration).Networks[0]
	return responder.New(n.Registry, n.Policy)
}

// play makes app send a frame, and checks which guests receive it, and that decider has the same verdict.
func (s *allowListStage) play(t *testing.T, decider *responder.Responder, sending sending, number int) {
	t.Helper()
	s.app.send(t, sending.frame)
	s.expectHeard(t, sending, number)
	s.expectInPlace(t)
	in := responder.Ingress{Port: s.app.Port, AllowList: true, HostMAC: registry.MAC(s.host.MAC)}
	if v := decider.Decide(in, sending.frame, make([]byte, responder.MaxReplyLen)); v.Reason != sending.reason || v.Action == responder.Pass != sending.passes {
		t.Errorf("%s: Decide says %s, %s; want %s", sending.name, v.Action, v.Reason, sending.reason)
	}
}

// expectHeard checks which guests have received a frame that app has sent. It sends a mark first, after which the frame
// can no longer arrive.
func (s *allowListStage) expectHeard(t *testing.T, frame sending, number int) {
	t.Helper()
	for _, g := range s.listeners() {
		sendMark(t, s.app, g, number)
		if heard, want := g.hasReceived(frame.frame), slices.Contains(frame.heard, g); heard != want {
			t.Errorf("%s: %s has received it: %t; want %t", frame.name, g.Name, heard, want)
		}
	}
}

// TestGuestBoundOnlyToPorts has a guest whose bindings all name its port. It checks that frames to the guest arrive,
// that the guest can send from that port like any guest, and that it can send nothing from another port.
func TestGuestBoundOnlyToPorts(t *testing.T) {
	s := buildAllowList(t, build(t, onBridge))
	bound := fmt.Sprintf("{mac: %q, port: %s}", appMAC, s.app.Port)
	configuration := withHost(t, network(s.attach, "policy: {ipv6: pass}"))
	configuration = strings.Replace(configuration, fmt.Sprintf("%q", appMAC), bound, 1)
	configuration = strings.Replace(configuration, "registry:\n", "registry:\n      192.168.7.0/29: "+bound+"\n", 1)
	fabric := start(t, configuration)
	decider := responderOf(t, configuration)
	s.introduce(t, 1_000_000)

	servers := []*guest{s.host, s.outside}
	toAll := ipv6(toIPv6Group, s.app.MAC)
	sent := []struct {
		sending
		elsewhere responder.Reason // the reason on another port
	}{
		{s.passes("own IPv4", s.toDB().frame()), responder.SpoofedSource},
		{s.passes("IPv4 from a range", s.from("192.168.7.7")), responder.SpoofedSource},
		{sending{name: "DHCP", frame: s.discover().frame(), reason: responder.DHCPClient, passes: true, heard: servers},
			responder.UnregisteredMAC},
		{sending{name: "RARP", frame: other(ethernet.Broadcast, s.app.MAC, rarp, 0, 1),
			reason: responder.RARPAnnouncement, passes: true}, responder.UnregisteredMAC},
		{sending{name: "IPv6 to all", frame: toAll, reason: responder.IPv6, passes: true, heard: s.listeners()},
			responder.UnregisteredMAC},
		{sending{name: "IPv6 to db", frame: ipv6(s.db.MAC, s.app.MAC), reason: responder.IPv6, passes: true,
			heard: []*guest{s.db}}, responder.UnregisteredMAC},
	}
	// The frames are the same on both ports, so those that no guest may receive are sent first.
	byIdle := s.sentBy(s.idle)
	want := counts{}
	for i, frame := range sent {
		byIdle.play(t, decider, refused(frame.name+", by another's port", frame.elsewhere, frame.frame), i)
		want[frame.elsewhere]++
		fabric.expectCounts(t, s.idle.Port, want, frame.name)
	}
	for i, frame := range sent {
		s.play(t, decider, frame.sending, 1000+i)
	}
	toApp := packet{to: s.app.MAC, from: s.db.MAC, src: dbAddr, dst: appAddr}.frame()
	s.sentBy(s.db).play(t, decider, sending{name: "IPv4 to it", frame: toApp, reason: responder.Admitted, passes: true,
		heard: []*guest{s.app}}, 2000)
	fabric.expectCounts(t, s.app.Port, counts{responder.RARPAnnouncement: 1}, "sending what it may")
}

// TestSecondBindingWithoutPort has a guest with a binding that names its port, and one that names none. It checks that
// frames of which only the MAC is known leave from the named port only.
func TestSecondBindingWithoutPort(t *testing.T) {
	s := buildAllowList(t, build(t, onBridge))
	bound := fmt.Sprintf("{mac: %q, port: %s}", appMAC, s.app.Port)
	configuration := strings.Replace(s.configuration(t, "policy: {ipv6: pass}"), fmt.Sprintf("01: %q", appMAC), "01: "+bound, 1)
	configuration = strings.Replace(configuration, boundToPorts, "", 1)
	start(t, configuration)
	decider := responderOf(t, configuration)
	s.introduce(t, 1_000_000)
	byIdle := s.sentBy(s.idle)
	toDB := ipv6(s.db.MAC, s.app.MAC)
	for i, frame := range []sending{
		{name: "DHCP", frame: s.discover().frame(), reason: responder.DHCPClient, passes: true, heard: []*guest{s.host, s.outside}},
		{name: "RARP", frame: other(ethernet.Broadcast, s.app.MAC, rarp, 0, 1), reason: responder.RARPAnnouncement, passes: true},
		{name: "IPv6", frame: toDB, reason: responder.IPv6, passes: true, heard: []*guest{s.db}},
	} {
		byIdle.play(t, decider, refused(frame.name+", by another's port", responder.UnregisteredMAC, frame.frame), i)
		s.play(t, decider, frame, 1000+i)
	}
}

// sentBy returns a stage on which g and app have changed places, so that g sends the frames.
func (s *allowListStage) sentBy(g *guest) *allowListStage {
	swapped := *s.stage
	for _, place := range []**guest{&swapped.db, &swapped.idle} {
		if *place == g {
			*place, swapped.app = s.app, g
		}
	}
	return &allowListStage{&swapped, s.host, s.outside}
}

// TestClassicReports checks that in classic mode all frames that the allow-list refuses arrive, and are counted by the
// reason that they have in vpc mode.
func TestClassicReports(t *testing.T) {
	s := buildAllowList(t, build(t, onBridge))
	fabric := start(t, s.configuration(t, "mode: classic"))
	want := counts{}
	for i, sending := range s.sendings() {
		// Where br_netfilter is loaded, a bridge drops malformed IPv4 itself.
		if sending.passes || sending.unsampled || isLinkLocal(sending.frame) || sending.reason == responder.Malformed {
			continue
		}
		s.introduce(t, 1_000_000+i) // without a guard, the bridge has learned wrong ports from forged frames
		s.app.send(t, sending.frame)
		for _, g := range s.receivers(sending.frame) {
			labtest.Eventually(t, g.Name+" receives "+sending.name, func() bool { return g.hasReceived(sending.frame) })
		}
		want[sending.reason]++
		fabric.expectCounts(t, s.app.Port, want, sending.name)
	}
}

// receivers returns the guests to which a bridge forwards a frame: the owner of the MAC, or all.
func (s *allowListStage) receivers(frame []byte) []*guest {
	all := []*guest{s.db, s.idle, s.outside}
	for _, g := range append(all, s.host) {
		if slices.Equal(frame[:6], g.MAC) {
			return []*guest{g}
		}
	}
	return all
}

// TestRARPMovesAGuest checks that the bridge learns the new port of a guest from the guest's RARP frame, and that no
// other guest receives the frame.
func TestRARPMovesAGuest(t *testing.T) {
	each(t, guarded, func(t *testing.T, built *stage) {
		s := buildAllowList(t, built)
		start(t, s.configuration(t))
		s.introduce(t, 1)
		moved := other(ethernet.Broadcast, s.db.MAC, rarp, 0, 1)
		s.idle.send(t, moved)
		sendMark(t, s.idle, s.app, 2)
		expectLocated(t, s.db.MAC, s.idle.Port)
		for _, g := range []*guest{s.app, s.db, s.host} {
			if g.hasReceived(moved) {
				t.Errorf("%s has received it", g.Name)
			}
		}
	})
}

// TestIPv6Passes checks that IPv6 of registered MACs passes if the policy says so.
func TestIPv6Passes(t *testing.T) {
	each(t, guarded, func(t *testing.T, built *stage) {
		s := buildAllowList(t, built)
		fabric := start(t, s.configuration(t, "policy: {ipv6: pass}"))
		s.introduce(t, 1_000_000)
		toAll := ipv6(toIPv6Group, s.app.MAC)
		toDB := ipv6(s.db.MAC, s.app.MAC)
		for i, sending := range []sending{
			{name: "to a group", frame: toAll, heard: s.listeners()},
			{name: "to db", frame: toDB, heard: []*guest{s.db}},
			{name: "to a group, from a stranger's MAC", frame: ipv6(toIPv6Group, stranger)},
			{name: "to db, from a stranger's MAC", frame: ipv6(s.db.MAC, stranger)},
			{name: "in a tag", frame: tagged(toAll, qTag)},
		} {
			s.app.send(t, sending.frame)
			s.expectHeard(t, sending, i)
			s.expectInPlace(t)
		}
		if s.outside != nil {
			want := counts{responder.UnregisteredMAC: 2, responder.UnexpectedVLAN: 1}
			fabric.expectCounts(t, s.app.Port, want, "IPv6")
		}
	})
}

// A journal keeps a fabric's log, in JSON.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

// with returns the lines in which key has value.
func (j *journal) with(t *testing.T, key, value string) []map[string]any {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []map[string]any
	for line := range bytes.Lines(j.text.Bytes()) {
		var entry map[string]any
		labtest.Must(t, json.Unmarshal(line, &entry))
		if entry[key] == value {
			found = append(found, entry)
		}
	}
	return found
}

// TestViolationsAreLogged checks that the log has one line about a guest that repeatedly uses another's identity.
func TestViolationsAreLogged(t *testing.T) {
	const often = 5
	s := build(t, onBridge)
	log := &journal{}
	configuration := strings.Replace(network(s.attach), `"`+dbMAC.String()+`"`, `{mac: "`+dbMAC.String()+`", name: db}`, 1)
	fabric := startLogging(t, loadConfig(t, configuration), slog.NewJSONHandler(log, nil))
	packet := packet{to: s.idle.MAC, from: s.app.MAC, src: dbAddr, dst: s.idle.Addr.Addr()}
	for range often {
		s.app.send(t, packet.frame())
		s.app.send(t, vary(s.app.request(gatewayAddr), sender(dbAddr)))
	}
	fabric.expectCounts(t, s.port, counts{responder.SpoofedSource: often, responder.SpoofedSender: often}, "posing as db")
	s.app.ask(t) // frames are handled in order, so the lines about the earlier ones are written
	for _, reason := range []responder.Reason{responder.SpoofedSource, responder.SpoofedSender} {
		lines := log.with(t, "reason", reason.String())
		if len(lines) != 1 {
			t.Fatalf("%d lines about %s: %v", len(lines), reason, lines)
		}
		for key, want := range map[string]string{
			"level": "WARN", "network": "lab", "port": s.port, "mac": appMAC.String(), "address": dbAddr.String(),
			"owner": dbMAC.String(), "owner_name": "db", "action": "drop",
		} {
			if lines[0][key] != want {
				t.Errorf("%s: %s is %v; want %s", reason, key, lines[0][key], want)
			}
		}
	}
}

// hostsNetwork is a network that guests reach through the host.
var hostsNetwork = netip.MustParsePrefix("192.0.2.1/32")

// TestHostIsTheGateway pings between guests and the host, between guests, and through the host.
func TestHostIsTheGateway(t *testing.T) {
	labtest.NeedProgram(t, "ping")
	each(t, guarded, func(t *testing.T, s *stage) {
		labtest.Must(t, labtest.AddAddress("lo", hostsNetwork))
		t.Cleanup(func() { labtest.Must(t, removeAddress("lo", hostsNetwork)) })
		start(t, withHost(t, network(s.attach)))
		for _, g := range []*guest{s.app, s.db} {
			labtest.Must(t, g.Do(func() error {
				return netlink.RouteAdd(&netlink.Route{Gw: hostAddr.Addr().AsSlice()})
			}))
		}
		ping(t, dbAddr)
		ping(t, appAddr)
		for _, target := range []netip.Addr{hostAddr.Addr(), hostsNetwork.Addr(), dbAddr} {
			s.app.expectSuccess(t, "ping", "-c", "1", "-w", "20", target.String())
		}
		s.db.expectSuccess(t, "ping", "-c", "1", "-w", "20", appAddr.String())
		sendMark(t, s.app, s.idle, 1)
		if heard := s.idle.receivedARP(); len(heard) > 0 {
			t.Errorf("idle heard %s", responder.Describe(heard[0]))
		}
	})
}

func removeAddress(link string, addr netip.Prefix) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	return netlink.AddrDel(l, &netlink.Addr{IPNet: &net.IPNet{IP: addr.Addr().AsSlice(), Mask: net.CIDRMask(addr.Bits(), 32)}})
}
