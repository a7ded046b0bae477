package fabric_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A hostile frame is what a guest might send to be heard by another.
type hostile struct {
	name   string
	frame  []byte
	reason responder.Reason // what is counted; 0 where the kernel drops it

	onlyOnBridge bool // elsewhere the kernel drops it on its way to the fabric
}

// hostileFrames are sent by app. The one who must not hear them is db, to whom they may be addressed.
func hostileFrames(s *stage) []hostile {
	forms := slices.Concat(requests(s), replies(s), forgeries(s), malformed(s), tags(s), destinations(s))
	shortest := 0
	if s.attachment != onBridge {
		shortest = shortestForwarded
	}
	for n := shortest; n < 28; n++ {
		short := s.app.request(dbAddr).Frame()[:14+n]
		name := fmt.Sprintf("%d bytes of ARP", n)
		forms = append(forms, hostile{name: name, frame: short, reason: responder.Malformed})
	}
	return forms
}

// shortestForwarded is how much of an ARP packet a bridge forwards, in bytes, where br_netfilter is loaded.
const shortestForwarded = 8

func requests(s *stage) []hostile {
	ask := s.app.request(dbAddr)
	return []hostile{
		{name: "request", frame: ask.Frame(), reason: responder.Answered},
		{name: "request, unicast", frame: vary(ask, to(s.db.MAC)), reason: responder.Answered},
		{name: "request for nobody", frame: vary(ask, target(freeAddr)), reason: responder.UnknownTarget},
		{name: "request for the host", frame: vary(ask, target(hostAddr.Addr())), reason: responder.UnknownTarget},
		{name: "request of a giant's size", frame: append(ask.Frame(), bytes.Repeat([]byte{0xee}, 1500-28)...),
			reason: responder.Answered},
		{name: "probe of another's address", frame: vary(ask, sender(unspecified)), reason: responder.ConflictProbe},
		{name: "probe of its own", frame: vary(ask, sender(unspecified), target(appAddr)),
			reason: responder.SelfProbe},
		{name: "probe of nobody's", frame: vary(ask, sender(unspecified), target(freeAddr)),
			reason: responder.UnknownTarget},
		{name: "probe, unicast", frame: vary(ask, sender(unspecified), to(s.db.MAC)),
			reason: responder.ConflictProbe},
		{name: "announcement", frame: vary(ask, target(appAddr)), reason: responder.Announcement},
		{name: "announcement, unicast", frame: vary(ask, target(appAddr), to(s.db.MAC)),
			reason: responder.Announcement},
	}
}

func replies(s *stage) []hostile {
	reply := s.app.request(dbAddr)
	reply.Operation, reply.TargetHardwareAddr = arp.OperationReply, s.db.MAC
	return []hostile{
		{name: "reply, broadcast", frame: reply.Frame(), reason: responder.GuestReply},
		{name: "reply, unicast", frame: vary(reply, to(s.db.MAC)), reason: responder.GuestReply},
		{name: "announcement in a reply", frame: vary(reply, target(appAddr)), reason: responder.GuestReply},
		{name: "reply for the gateway", frame: vary(reply, to(s.db.MAC), sender(gatewayAddr)),
			reason: responder.SpoofedSender},
		{name: "announcement for the gateway", frame: vary(reply, sender(gatewayAddr), target(gatewayAddr)),
			reason: responder.SpoofedSender},
	}
}

func forgeries(s *stage) []hostile {
	ask := s.app.request(dbAddr)
	return []hostile{
		{name: "another's address", frame: vary(ask, sender(dbAddr)), reason: responder.SpoofedSender},
		{name: "nobody's address", frame: vary(ask, sender(freeAddr)), reason: responder.UnregisteredSender},
		{name: "another's MAC inside", frame: vary(ask, senderMAC(s.db.MAC)), reason: responder.SenderMACMismatch},
		{name: "no MAC inside", frame: vary(ask, senderMAC(make([]byte, 6))), reason: responder.InvalidSenderMAC},
		{name: "broadcast MAC inside", frame: vary(ask, senderMAC(ethernet.Broadcast)),
			reason: responder.InvalidSenderMAC},
		{name: "multicast MAC inside", frame: vary(ask, senderMAC(net.HardwareAddr{1, 0, 0x5e, 0, 0, 1})),
			reason: responder.InvalidSenderMAC},
		{name: "loopback address", frame: vary(ask, sender(netip.MustParseAddr("127.0.0.1"))),
			reason: responder.InvalidSenderIP},
		{name: "multicast address", frame: vary(ask, sender(netip.MustParseAddr("224.0.0.1"))),
			reason: responder.InvalidSenderIP},
		{name: "reserved address", frame: vary(ask, sender(netip.MustParseAddr("240.0.0.1"))),
			reason: responder.InvalidSenderIP},
		{name: "broadcast address", frame: vary(ask, sender(netip.MustParseAddr("255.255.255.255"))),
			reason: responder.InvalidSenderIP},
	}
}

func malformed(s *stage) []hostile {
	ask := s.app.request(dbAddr)
	var forms []hostile
	for _, op := range []arp.Operation{0, 3, 4, 8, 9, 0x0100, 0xffff} {
		a := ask
		a.Operation = op
		name := fmt.Sprintf("operation %d", op)
		forms = append(forms, hostile{name: name, frame: a.Frame(), reason: responder.UnsupportedOperation})
	}
	return append(forms,
		hostile{name: "hardware type of IEEE 802", frame: patch(ask, 14, 0, 6), reason: responder.Malformed},
		hostile{name: "protocol type of IPv6", frame: patch(ask, 16, 0x86, 0xdd), reason: responder.Malformed},
		hostile{name: "hardware length 0", frame: patch(ask, 18, 0), reason: responder.Malformed},
		hostile{name: "hardware length 255", frame: patch(ask, 18, 255), reason: responder.Malformed},
		hostile{name: "protocol length 16", frame: patch(ask, 19, 16), reason: responder.Malformed},
		hostile{name: "LLC/SNAP", frame: snap(ask), reason: responder.Malformed},
		hostile{name: "LLC/SNAP, bridge tunnel", frame: snap(ask, 0x00, 0x00, 0xf8), reason: responder.Malformed},
	)
}

// The tags are TPID and TCI (IEEE 802.1Q, 9.4).
const (
	qTag        = 0x8100_0000
	adTag       = 0x88a8_0000
	highestPrio = 0xe000
	dropable    = 0x1000
)

func tags(s *stage) []hostile {
	ask := s.app.request(dbAddr)
	announcement := vary(ask, target(appAddr))
	vlan := func(name string, frame []byte, tags ...uint32) hostile {
		return hostile{name: name, frame: tagged(frame, tags...), reason: responder.UnexpectedVLAN}
	}
	forms := []hostile{
		vlan("802.1Q, VLAN 0", ask.Frame(), qTag),
		vlan("802.1Q, VLAN 5", ask.Frame(), qTag|5),
		vlan("802.1Q, VLAN 4095", ask.Frame(), qTag|4095),
		vlan("802.1Q, priority", ask.Frame(), qTag|highestPrio),
		vlan("802.1Q, drop eligible", ask.Frame(), qTag|dropable),
		vlan("802.1Q, VLAN 0, unicast", vary(ask, to(s.db.MAC)), qTag),
		vlan("802.1Q, VLAN 0, announcement", announcement, qTag),
		vlan("802.1ad, VLAN 0", ask.Frame(), adTag),
		vlan("802.1ad, VLAN 5", ask.Frame(), adTag|5),
		vlan("two tags, VLAN 0", ask.Frame(), qTag, qTag),
		vlan("two tags, VLAN 0, announcement", announcement, qTag, qTag),
		vlan("two tags, VLAN 5", ask.Frame(), adTag|5, qTag|5),
		vlan("two tags, outer VLAN 0", ask.Frame(), adTag, qTag|5),
		{name: "three tags, VLAN 0", frame: tagged(announcement, qTag, qTag, qTag),
			reason: responder.UnexpectedVLAN, onlyOnBridge: true},
		{name: "three tags", frame: tagged(announcement, adTag|5, qTag|6, qTag|7),
			reason: responder.UnexpectedVLAN, onlyOnBridge: true},
		{name: "four tags", frame: tagged(announcement, qTag, adTag, qTag, adTag),
			reason: responder.UnexpectedVLAN, onlyOnBridge: true},
		{name: "LLC/SNAP behind a tag", frame: tagged(snap(ask), qTag), reason: responder.Malformed},
		{name: "LLC/SNAP behind two tags", frame: tagged(snap(ask), adTag, qTag), reason: responder.Malformed},
	}
	for n, reason := range map[int]responder.Reason{0: 0, 1: 0, 2: responder.Malformed, 27: responder.Malformed} {
		short := tagged(ask.Frame()[:14+n], qTag)
		forms = append(forms, hostile{name: fmt.Sprintf("%d bytes behind a tag", n), frame: short, reason: reason})
	}
	return forms
}

func destinations(s *stage) []hostile {
	ask := s.app.request(dbAddr)
	return []hostile{
		{name: "to LLDP's group address", frame: vary(ask, to(net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0x0e}))},
		{name: "to 802.1X's group address", frame: vary(ask, to(net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0x03})),
			reason: responder.Answered, onlyOnBridge: true},
		{name: "to spanning tree's group address", frame: vary(ask, to(net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0})),
			reason: responder.Answered},
		{name: "to an IPv6 group address", frame: vary(ask, to(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1})),
			reason: responder.Answered},
		{name: "to an IPv4 group address", frame: vary(ask, to(net.HardwareAddr{0x01, 0x00, 0x5e, 0, 0, 1})),
			reason: responder.Answered},
		{name: "to nobody", frame: vary(ask, to(net.HardwareAddr{0x02, 0xff, 0xff, 0xff, 0xff, 0xff})),
			reason: responder.Answered},
		{name: "to its sender", frame: vary(ask, to(s.app.MAC)), reason: responder.Answered},
		{name: "to zero", frame: vary(ask, to(make([]byte, 6))), reason: responder.Answered},
	}
}

type variation func(*lab.ARP)

func vary(a lab.ARP, variations ...variation) []byte {
	for _, v := range variations {
		v(&a)
	}
	return a.Frame()
}

func to(mac net.HardwareAddr) variation { return func(a *lab.ARP) { a.Destination = mac } }
func senderMAC(mac net.HardwareAddr) variation {
	return func(a *lab.ARP) { a.SenderHardwareAddr = mac }
}
func sender(addr netip.Addr) variation { return func(a *lab.ARP) { a.SenderIP = addr } }
func isReply(a *lab.ARP)               { a.Operation = arp.OperationReply }
func target(addr netip.Addr) variation { return func(a *lab.ARP) { a.TargetIP = addr } }

// patch overwrites bytes of the frame.
func patch(a lab.ARP, at int, with ...byte) []byte {
	frame := a.Frame()
	copy(frame[at:], with)
	return frame
}

// tagged puts tags, the outermost first, into a frame.
func tagged(frame []byte, tags ...uint32) []byte {
	with := bytes.Clone(frame[:12])
	for _, tag := range tags {
		with = binary.BigEndian.AppendUint32(with, tag)
	}
	return append(with, frame[12:]...)
}

// snap puts an ARP packet behind an LLC/SNAP header (RFC 1042) with an organization code, or with zeros.
func snap(a lab.ARP, organization ...byte) []byte {
	frame := a.Frame()
	header := append([]byte{0xaa, 0xaa, 0x03}, organization...)
	header = append(header, make([]byte, 6-len(header))...)
	header = append(header, 0x08, 0x06)
	with := binary.BigEndian.AppendUint16(bytes.Clone(frame[:12]), uint16(len(header)+28))
	return slices.Concat(with, header, frame[14:])
}

// TestHostileFrames holds for each frame that nobody hears it, and that its reason is counted once.
func TestHostileFrames(t *testing.T) {
	each(t, guarded, func(t *testing.T, s *stage) {
		fabric := start(t, network(s.attach))
		want := counts{}
		for i, h := range hostileFrames(s) {
			s.app.send(t, h.frame)
			for _, silent := range []*guest{s.db, s.idle} {
				sendMark(t, s.app, silent, i)
				if heard := silent.heard(); len(heard) > 0 {
					t.Fatalf("%s: %s heard it: %x", h.name, silent.Name, heard)
				}
			}
			if h.reason != 0 && !(h.onlyOnBridge && s.attachment == onTAP) {
				want[h.reason]++
			}
			fabric.expectCounts(t, s.port, want, h.name)
		}
		s.app.expectAnswers(t, want)
		s.expectSilence(t, s.db, s.idle)
		expectHostLearnedNothing(t)
	})
}

// TestHostileFramesAtAnInterface holds that the reason of what reaches an interface is counted once.
func TestHostileFramesAtAnInterface(t *testing.T) {
	s := build(t, onInterface)
	s.db.setARP(t, "arp_ignore", "8") // never answer
	fabric := start(t, network(s.attach))
	want := counts{}
	for _, h := range hostileFrames(s) {
		switchFloods := h.frame[0]&1 == 1 && !isLinkLocal(h.frame)
		if !switchFloods || h.name == "LLC/SNAP behind two tags" { // the socket's filter looks behind one
			continue
		}
		s.app.send(t, h.frame)
		if h.reason != 0 && !h.onlyOnBridge {
			want[h.reason]++
		}
		fabric.expectCounts(t, s.port, want, h.name)
	}
	s.app.expectAnswers(t, want)
}

// expectAnswers waits until as many answers have arrived as there must be, and holds that there are no more.
func (g *guest) expectAnswers(t *testing.T, c counts) {
	t.Helper()
	want := int(c[responder.Answered] + c[responder.SelfProbe] + c[responder.ConflictProbe])
	lab.Eventually(t, "all answers arrive", func() bool { return len(g.answers()) >= want })
	if got := len(g.answers()); got != want {
		t.Errorf("%d answers, want %d", got, want)
	}
}

// TestForgedIdentity holds that a guest that passes for another in everything, but sends from its own
// port, gets the answers itself, and does not get the other's traffic.
func TestForgedIdentity(t *testing.T) {
	s := build(t, onBridge)
	start(t, network(s.attach))
	sendMark(t, s.db, s.app, 1) // now the bridge knows where db is
	expectBehind(t, s.db.MAC, s.db.Port)

	forged := s.db.request(gatewayAddr)
	s.app.send(t, forged.Frame())
	lab.Eventually(t, "the forger is answered", func() bool { return len(s.app.answers()) == 1 })
	s.app.send(t, vary(forged, target(dbAddr)))
	expectBehind(t, s.db.MAC, s.db.Port)
	s.expectSilence(t, s.db, s.idle)
	expectHostLearnedNothing(t)
}

// TestLinkLocalGroupsTeachNothing holds that a frame which passes no rule can't move another's entry, and that the
// bridge learns from such frames again when it is let go.
func TestLinkLocalGroupsTeachNothing(t *testing.T) {
	each(t, guarded, func(t *testing.T, s *stage) {
		fabric := start(t, network(s.attach))
		lldp := slices.Concat([]byte{0x01, 0x80, 0xc2, 0, 0, 0x0e}, s.db.MAC, []byte{0x88, 0xcc}, make([]byte, 46))
		sendMark(t, s.db, s.app, 1)
		s.app.send(t, lldp)
		sendMark(t, s.app, s.db, 2)
		expectBehind(t, s.db.MAC, s.db.Port)

		fabric.stop()
		repeat(t, "the bridge learns from it", func() { s.app.send(t, lldp) }, func() bool {
			return slices.Equal(learnedBehind(t, s.db.MAC), []string{s.app.Port})
		})
	})
}

// TestLinkLocalLearningIsTheAdministrators holds that a bridge that was told not to learn before the fabric came does not
// when it has gone.
func TestLinkLocalLearningIsTheAdministrators(t *testing.T) {
	s := build(t, onBridge)
	dev, err := net.InterfaceByName(bridgeName)
	must(t, err)
	bridge := link.Link{Name: dev.Name, Index: dev.Index}
	for _, learns := range []bool{false, true} {
		must(t, link.SetLinkLocalLearning(bridge, learns))
		fabric := start(t, network(s.attach))
		if now, err := link.LinkLocalLearning(bridge); err != nil || now {
			t.Errorf("it learns while the fabric runs: %v (%v)", now, err)
		}
		fabric.stop()
		if now, err := link.LinkLocalLearning(bridge); err != nil || now != learns {
			t.Errorf("before the fabric it learned: %v; after it: %v (%v)", learns, now, err)
		}
	}
}

// TestAnswersDoNotMoveTheOwner holds that a switch does not take the fabric for the owner of the MAC that
// it answers with.
func TestAnswersDoNotMoveTheOwner(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		start(t, network(s.attach))
		sendMark(t, s.db, s.app, 1)
		s.app.send(t, s.app.request(dbAddr).Frame())
		s.app.expectAnswer(t, 1, dbAddr, dbMAC)
		expectBehind(t, s.db.MAC, s.db.Port)
	})
}

// expectBehind holds that br0 has learned that mac is behind port, and behind no other.
func expectBehind(t *testing.T, mac net.HardwareAddr, port string) {
	t.Helper()
	if behind := learnedBehind(t, mac); !slices.Equal(behind, []string{port}) {
		t.Errorf("%s is behind %v, want %s", mac, behind, port)
	}
}

// learnedBehind returns the ports that the bridges have learned a MAC is behind.
func learnedBehind(t *testing.T, mac net.HardwareAddr) []string {
	t.Helper()
	entries, err := netlink.NeighList(0, unix.AF_BRIDGE)
	must(t, err)
	var behind []string
	for _, e := range entries {
		if bytes.Equal(e.HardwareAddr, mac) {
			l, err := netlink.LinkByIndex(e.LinkIndex)
			must(t, err)
			behind = append(behind, l.Attrs().Name)
		}
	}
	return behind
}
