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
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
)

// The bindings of app beside its address; those with a port can only be where a bridge is attached.
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

// configuration has the registry of most tests, the host's address, and more addresses of app.
func (s *allowListStage) configuration(t *testing.T, rest ...string) string {
	t.Helper()
	more := moreOfApp
	if s.outside != nil {
		more += boundToPorts
	}
	return strings.Replace(withHost(t, network(s.attach, rest...)), "registry:\n", more, 1)
}

// A packet is an IPv4 packet in a frame, raw as a guest may send it: an ICMP echo reply, or UDP.
type packet struct {
	to, from net.HardwareAddr
	src, dst netip.Addr

	udp              bool
	srcPort, dstPort uint16 // of UDP
}

func (p packet) frame() []byte {
	const icmp, udp = 1, 17
	payload := []byte{0, 0, 0xff, 0xff, 0, 0, 0, 0}
	protocol := byte(icmp)
	if p.udp {
		protocol = udp
		payload = binary.BigEndian.AppendUint16(nil, p.srcPort)
		payload = binary.BigEndian.AppendUint16(payload, p.dstPort)
		payload = append(payload, 0, 8, 0, 0)
	}
	header := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, protocol, 0, 0}
	header = slices.Concat(header, p.src.AsSlice(), p.dst.AsSlice())
	binary.BigEndian.PutUint16(header[10:], lab.Checksum(header))
	return slices.Concat(p.to, p.from, []byte{0x08, 0x00}, header, payload)
}

func (p packet) with(change func(*packet)) []byte {
	change(&p)
	return p.frame()
}

// rarp is the EtherType of what QEMU sends after a migration.
const rarp = 0x8035

// other returns a frame of another EtherType, or, up to 1500, of a length.
func other(to, from net.HardwareAddr, etherType uint16, payload ...byte) []byte {
	frame := binary.BigEndian.AppendUint16(slices.Concat(to, from), etherType)
	return append(frame, append(payload, make([]byte, 46-len(payload))...)...)
}

// ipv6 returns an IPv6 packet (RFC 8200, 3) of no protocol, which hosts drop in silence. A bridge that snoops drops
// an empty one to a group.
func ipv6(to, from net.HardwareAddr) []byte {
	const noNextHeader = 59
	header := append([]byte{0x60, 0, 0, 0, 0, 8, noNextHeader, 64}, make([]byte, 32)...)
	header[8], header[24], header[39] = 0xfd, 0xfd, 1 // unique local addresses
	if to[0]&1 != 0 {
		header[24], header[25] = 0xff, 0x02 // all nodes
	}
	return slices.Concat(to, from, []byte{0x86, 0xdd}, header, make([]byte, 8))
}

// An allowListStage has, besides the guests, the host and, where there may be one, somebody behind an uplink to
// hear what app sends. All of them have spoken: the bridge knows where they are.
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
	own, err := net.InterfaceByName(bridgeName) // whose MAC is one of its members'
	must(t, err)
	capture, err := lab.StartCapture(bridgeName)
	must(t, err)
	t.Cleanup(func() { capture.Close() })
	asGuest := &lab.Guest{GuestConfig: lab.GuestConfig{Name: "host", MAC: own.HardwareAddr, Addr: hostAddr}}
	a.host = &guest{Guest: asGuest, Capture: capture}
	return a
}

// listeners are all but app.
func (s *allowListStage) listeners() []*guest {
	all := []*guest{s.db, s.idle, s.host}
	if s.outside != nil {
		all = append(all, s.outside)
	}
	return all
}

// introduce makes everybody send something, so that the bridge knows where they are.
func (s *allowListStage) introduce(t *testing.T, number int) {
	t.Helper()
	for _, g := range s.listeners() {
		if g != s.host {
			sendMark(t, g, s.app, number)
		}
	}
	sendMark(t, s.app, s.db, number)
}

// expectInPlace holds that the bridge has not taken any guest for another. Its own entry is permanent.
func (s *allowListStage) expectInPlace(t *testing.T) {
	t.Helper()
	for _, g := range append(s.listeners(), s.app) {
		if g != s.host {
			expectBehind(t, g.MAC, g.Port)
		}
	}
}

// A sending is a frame that app sends, and what must become of it.
type sending struct {
	name   string
	frame  []byte
	reason responder.Reason
	passes bool
	heard  []*guest // by whom; nil for nobody

	unsampled bool // no hook of the kernel sees it
}

func (s *allowListStage) sendings() []sending {
	return slices.Concat(s.addresses(), s.bound(), s.destinations(), s.otherKinds(), s.newcomers())
}

// toDB is what app may send.
func (s *allowListStage) toDB() packet {
	return packet{to: s.db.MAC, from: s.app.MAC, src: appAddr, dst: dbAddr}
}

func refused(name string, reason responder.Reason, frame []byte) sending {
	return sending{name: name, frame: frame, reason: reason}
}

// unsampled is for what the bridge itself drops before any hook.
func unsampled(name string, reason responder.Reason, frame []byte) sending {
	return sending{name: name, frame: frame, reason: reason, unsampled: true}
}

func (s *allowListStage) addresses() []sending {
	own, from, passes := s.toDB(), s.from, s.passes
	return []sending{
		passes("own IPv4", own.frame()),
		passes("own, to an address that is nowhere", own.with(func(p *packet) { p.dst = netip.MustParseAddr("192.0.2.1") })),
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

// bound are from addresses that are bound to ports.
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

// discover is how app asks for an address.
func (s *stage) discover() packet {
	return packet{
		to: ethernet.Broadcast, from: s.app.MAC, src: unspecified, dst: netip.MustParseAddr("255.255.255.255"),
		udp: true, srcPort: 68, dstPort: 67,
	}
}

// from is from an address to db.
func (s *allowListStage) from(addr string) []byte {
	return s.toDB().with(func(p *packet) { p.src = netip.MustParseAddr(addr) })
}

// passes is for what db alone hears.
func (s *allowListStage) passes(name string, frame []byte) sending {
	return sending{name: name, frame: frame, reason: responder.Admitted, passes: true, heard: []*guest{s.db}}
}

// nobody and stranger are MACs without a binding: one is never sent from, which would teach a bridge where it is. The
// others are groups.
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
	silent := slices.DeleteFunc(s.listeners(), func(g *guest) bool { return g == s.host })
	return []sending{
		{name: "to the host", frame: to(s.host.MAC), reason: responder.Admitted, passes: true, heard: []*guest{s.host}},
		{name: "to a registered MAC that has not spoken yet", frame: to(net.HardwareAddr{0x02, 0, 0x0a, 0xde, 0x54, 0xa8}),
			reason: responder.Admitted, passes: true, heard: silent},
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
		unsampled("LLDP", responder.UnsupportedEtherType, other(toNeighbors, app, 0x88cc)),
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

// TestAllowList holds for each frame who hears it, that its reason is counted where it was refused, and that Admit
// says what the kernel has done.
func TestAllowList(t *testing.T) {
	each(t, guarded, func(t *testing.T, built *stage) {
		s := buildAllowList(t, built)
		configuration := s.configuration(t)
		fabric := start(t, configuration)
		judge := judgeOf(t, configuration)
		s.introduce(t, 1_000_000)
		want := counts{}
		for i, sending := range s.sendings() {
			s.play(t, judge, sending, i)
			if s.outside == nil {
				continue // there nobody counts
			}
			if !sending.passes && !sending.unsampled {
				want[sending.reason]++
			}
			fabric.expectCounts(t, s.app.Port, want, sending.name)
		}
	})
}

// judgeOf returns the decision of the only network of a configuration.
func judgeOf(t *testing.T, configuration string) *responder.Responder {
	t.Helper()
	n := loadConfig(t, configuration).Networks[0]
	return responder.New(n.Registry, n.Policy)
}

// play has app send a frame, and holds what becomes of it and that judge says the same.
func (s *allowListStage) play(t *testing.T, judge *responder.Responder, sending sending, number int) {
	t.Helper()
	s.app.send(t, sending.frame)
	s.expectHeard(t, sending, number)
	s.expectInPlace(t)
	in := responder.In{Port: s.app.Port, HostMAC: responder.MAC(s.host.MAC)}
	if v := judge.Admit(in, sending.frame); v.Reason != sending.reason || v.Action == responder.Pass != sending.passes {
		t.Errorf("%s: Admit says %s, %s; want %s", sending.name, v.Action, v.Reason, sending.reason)
	}
}

// expectHeard holds who hears a frame that app has sent: after a mark from app, nobody will.
func (s *allowListStage) expectHeard(t *testing.T, frame sending, number int) {
	t.Helper()
	for _, g := range s.listeners() {
		sendMark(t, s.app, g, number)
		if heard, want := g.hasSeen(frame.frame), slices.Contains(frame.heard, g); heard != want {
			t.Errorf("%s: %s hears it: %t; want %t", frame.name, g.Name, heard, want)
		}
	}
}

// TestBoundToPortsAlone holds that a guest all of whose bindings name its port is sent to, sends by that port what any
// guest may, and by no other port anything.
func TestBoundToPortsAlone(t *testing.T) {
	s := buildAllowList(t, build(t, onBridge))
	bound := fmt.Sprintf("{mac: %q, port: %s}", appMAC, s.app.Port)
	configuration := withHost(t, network(s.attach, "policy: {ipv6: pass}"))
	configuration = strings.Replace(configuration, fmt.Sprintf("%q", appMAC), bound, 1)
	configuration = strings.Replace(configuration, "registry:\n", "registry:\n      192.168.7.0/29: "+bound+"\n", 1)
	fabric := start(t, configuration)
	judge := judgeOf(t, configuration)
	s.introduce(t, 1_000_000)

	servers := []*guest{s.host, s.outside}
	toAll := ipv6(toIPv6Group, s.app.MAC)
	sent := []struct {
		sending
		elsewhere responder.Reason // by another's port
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
	// The frames are the same by both ports, so those that nobody may hear are sent first.
	byIdle := s.sentBy(s.idle)
	want := counts{}
	for i, frame := range sent {
		byIdle.play(t, judge, refused(frame.name+", by another's port", frame.elsewhere, frame.frame), i)
		want[frame.elsewhere]++
		fabric.expectCounts(t, s.idle.Port, want, frame.name)
	}
	for i, frame := range sent {
		s.play(t, judge, frame.sending, 1000+i)
	}
	toApp := packet{to: s.app.MAC, from: s.db.MAC, src: dbAddr, dst: appAddr}.frame()
	s.sentBy(s.db).play(t, judge, sending{name: "IPv4 to it", frame: toApp, reason: responder.Admitted, passes: true,
		heard: []*guest{s.app}}, 2000)
	fabric.expectCounts(t, s.app.Port, counts{}, "sending what it may")
}

// sentBy returns the stage with app in the place of another, who sends in its place.
func (s *allowListStage) sentBy(g *guest) *allowListStage {
	swapped := *s.stage
	for _, place := range []**guest{&swapped.db, &swapped.idle} {
		if *place == g {
			*place, swapped.app = s.app, g
		}
	}
	return &allowListStage{&swapped, s.host, s.outside}
}

// TestClassicReports holds that in classic mode all that the allow-list refuses is heard, and is counted for the
// reason that vpc mode would have.
func TestClassicReports(t *testing.T) {
	s := buildAllowList(t, build(t, onBridge))
	fabric := start(t, s.configuration(t, "mode: classic"))
	want := counts{}
	for i, sending := range s.sendings() {
		if sending.passes || sending.unsampled || isLinkLocal(sending.frame) {
			continue
		}
		s.introduce(t, 1_000_000+i) // forged frames teach a bridge without a guard where nobody is
		s.app.send(t, sending.frame)
		for _, g := range s.receivers(sending.frame) {
			lab.Eventually(t, g.Name+" hears "+sending.name, func() bool { return g.hasSeen(sending.frame) })
		}
		want[sending.reason]++
		fabric.expectCounts(t, s.app.Port, want, sending.name)
	}
}

// receivers are the guests that a bridge forwards a frame to: who has the MAC, or all.
func (s *allowListStage) receivers(frame []byte) []*guest {
	all := []*guest{s.db, s.idle, s.outside}
	for _, g := range append(all, s.host) {
		if slices.Equal(frame[:6], g.MAC) {
			return []*guest{g}
		}
	}
	return all
}

// TestRARPMovesAGuest holds that the bridge follows a guest that has moved to another port, as it says itself, and
// that nobody else hears it.
func TestRARPMovesAGuest(t *testing.T) {
	each(t, guarded, func(t *testing.T, built *stage) {
		s := buildAllowList(t, built)
		start(t, s.configuration(t))
		s.introduce(t, 1)
		moved := other(ethernet.Broadcast, s.db.MAC, rarp, 0, 1)
		s.idle.send(t, moved)
		sendMark(t, s.idle, s.app, 2)
		expectBehind(t, s.db.MAC, s.idle.Port)
		for _, g := range []*guest{s.app, s.db, s.host} {
			if g.hasSeen(moved) {
				t.Errorf("%s hears it", g.Name)
			}
		}
	})
}

// TestIPv6Passes holds that where the policy lets IPv6 pass, that of registered MACs does.
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

// A journal keeps what a fabric logs, in JSON.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

// with returns the lines in which key has this value.
func (j *journal) with(t *testing.T, key, value string) []map[string]any {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []map[string]any
	for line := range bytes.Lines(j.text.Bytes()) {
		var entry map[string]any
		must(t, json.Unmarshal(line, &entry))
		if entry[key] == value {
			found = append(found, entry)
		}
	}
	return found
}

// TestViolationsAreLogged holds that who poses as another is named in one line, however often it does.
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
	s.app.ask(t) // frames are dealt with in order: what there is to say of those is said
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

// hostsNetwork is behind the host, seen from the guests.
var hostsNetwork = netip.MustParsePrefix("192.0.2.1/32")

// TestHostIsTheGateway pings between guests and the host, between guests, and through the host.
func TestHostIsTheGateway(t *testing.T) {
	lab.NeedProgram(t, "ping")
	each(t, guarded, func(t *testing.T, s *stage) {
		must(t, lab.AddAddress("lo", hostsNetwork))
		t.Cleanup(func() { must(t, removeAddress("lo", hostsNetwork)) })
		start(t, withHost(t, network(s.attach)))
		for _, g := range []*guest{s.app, s.db} {
			must(t, g.Do(func() error {
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
		if heard := s.idle.heard(); len(heard) > 0 {
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
