package fabric_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A hostile frame is one with which a guest might try to reach another.
type hostile struct {
	name   string
	frame  []byte
	reason responder.Reason // the verdict's reason; 0 if the kernel drops the frame

	unseenOn []attachment // where the kernel drops it before it reaches the fabric
}

// hostileFrames returns frames of app that no other guest may receive, even if they are addressed to db.
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
			reason: responder.UnexpectedVLAN, unseenOn: []attachment{onInterface}},
		{name: "three tags", frame: tagged(announcement, adTag|5, qTag|6, qTag|7),
			reason: responder.UnexpectedVLAN, unseenOn: []attachment{onInterface}},
		{name: "four tags", frame: tagged(announcement, qTag, adTag, qTag, adTag),
			reason: responder.UnexpectedVLAN, unseenOn: []attachment{onInterface}},
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
		{name: "to LLDP's group address", frame: vary(ask, to(net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0x0e})),
			reason: responder.Answered},
		{name: "to 802.1X's group address", frame: vary(ask, to(net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0x03})),
			reason: responder.Answered, unseenOn: []attachment{onTAP, onInterface}},
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

// TestHostileFrames checks for each frame that no guest receives it, and that its reason is counted once.
func TestHostileFrames(t *testing.T) {
	each(t, guarded, func(t *testing.T, s *stage) {
		fabric := start(t, network(s.attach))
		want := counts{}
		for i, h := range hostileFrames(s) {
			s.app.send(t, h.frame)
			for _, silent := range []*guest{s.db, s.idle} {
				sendMark(t, s.app, silent, i)
				if heard := silent.receivedARP(); len(heard) > 0 {
					t.Fatalf("%s: %s received it: %x", h.name, silent.Name, heard)
				}
			}
			if h.reason != 0 && !slices.Contains(h.unseenOn, s.attachment) {
				want[h.reason]++
			}
			fabric.expectCounts(t, s.port, want, h.name)
		}
		s.app.expectAnswers(t, want)
		s.expectSilence(t, s.db, s.idle)
		expectHostLearnedNothing(t)
	})
}

// TestHostileFramesAtAnInterface checks for each frame that reaches an interface that its reason is counted once.
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
		if h.reason != 0 && !slices.Contains(h.unseenOn, s.attachment) {
			want[h.reason]++
		}
		fabric.expectCounts(t, s.port, want, h.name)
	}
	s.app.expectAnswers(t, want)
}

// expectAnswers waits until the guest has received the answers that the counts imply, and checks that it receives no
// more.
func (g *guest) expectAnswers(t *testing.T, c counts) {
	t.Helper()
	want := int(c[responder.Answered] + c[responder.SelfProbe] + c[responder.ConflictProbe])
	labtest.Eventually(t, "all answers arrive", func() bool { return len(g.answers()) >= want })
	if got := len(g.answers()); got != want {
		t.Errorf("%d answers, want %d", got, want)
	}
}

// TestForgedIdentity checks that a guest that forges another's MAC and address receives the answers on its own port, and
// that the other gets its traffic back by its own next frame. Only a binding that names the port tells the two apart.
func TestForgedIdentity(t *testing.T) {
	s := build(t, onBridge)
	start(t, network(s.attach))
	sendMark(t, s.db, s.app, 1)
	expectLocated(t, s.db.MAC, s.db.Port)

	forged := s.db.request(gatewayAddr)
	s.app.send(t, forged.Frame())
	labtest.Eventually(t, "the forger is answered", func() bool { return len(s.app.answers()) == 1 })
	expectLocated(t, s.db.MAC, s.app.Port)
	sendMark(t, s.db, s.app, 2)
	expectLocated(t, s.db.MAC, s.db.Port)
	s.expectSilence(t, s.db, s.idle)
	expectHostLearnedNothing(t)
}

// TestBridgeDoesNotLearnFromLinkLocalFrames checks that a frame that no rule sees cannot move another guest's FDB
// entry, and that the bridge learns from such frames again when the fabric has stopped.
func TestBridgeDoesNotLearnFromLinkLocalFrames(t *testing.T) {
	each(t, guarded, func(t *testing.T, s *stage) {
		fabric := start(t, network(s.attach))
		lldp := slices.Concat([]byte{0x01, 0x80, 0xc2, 0, 0, 0x0e}, s.db.MAC, []byte{0x88, 0xcc}, make([]byte, 46))
		sendMark(t, s.db, s.app, 1)
		s.app.send(t, lldp)
		sendMark(t, s.app, s.db, 2)
		expectBehind(t, s.db.MAC, s.db.Port)

		fabric.stop()
		// Linux 6.1 has another entry for VLAN 1, in which no frame is, and which ages.
		repeat(t, "the bridge learns from it", func() { s.app.send(t, lldp) }, func() bool {
			return slices.Contains(learnedBehind(t, s.db.MAC), s.app.Port)
		})
	})
}

// TestLinkLocalSettings checks that arpfabric sets the bridge and its ports so that its rules see frames to link-local
// groups, that it sets them again after somebody has changed them back, and that they are as before after it has stopped.
func TestLinkLocalSettings(t *testing.T) {
	s := build(t, onBridge)
	bridge, port := linkOf(t, bridgeName), linkOf(t, s.app.Port)
	for _, before := range []linkLocalSettings{{true, 0}, {false, 0x4001}, {true, 0x4010}} {
		before.set(t, bridge, port)
		fabric := start(t, network(s.attach))
		guarded := linkLocalSettings{false, before.forwarded | 0x4001}
		guarded.expect(t, bridge, port)
		linkLocalSettings{true, 0x0020}.set(t, bridge, port)
		linkLocalSettings{false, 0x4021}.expect(t, bridge, port)
		guarded.set(t, bridge, port)
		fabric.stop()
		before.expect(t, bridge, port)
	}
}

func linkOf(t *testing.T, name string) link.Link {
	t.Helper()
	dev, err := net.InterfaceByName(name)
	labtest.Must(t, err)
	return link.Link{Name: dev.Name, Index: dev.Index}
}

// linkLocalSettings says how a bridge and a port treat frames to link-local groups.
type linkLocalSettings struct {
	learns    bool   // no_linklocal_learn is off on the bridge
	forwarded uint16 // group_fwd_mask of the port
}

func (s linkLocalSettings) set(t *testing.T, bridge, port link.Link) {
	t.Helper()
	labtest.Must(t, link.SetLinkLocalLearning(bridge, s.learns))
	labtest.Must(t, link.SetGroupForwarding(port, s.forwarded))
}

func (s linkLocalSettings) expect(t *testing.T, bridge, port link.Link) {
	t.Helper()
	var now linkLocalSettings
	defer func() {
		if t.Failed() {
			t.Logf("they are %+v, want %+v", now, s)
		}
	}()
	labtest.Eventually(t, "the settings are right", func() bool {
		learns, err := link.LinkLocalLearning(bridge)
		labtest.Must(t, err)
		members, err := link.ReadMemberSettings()
		labtest.Must(t, err)
		now = linkLocalSettings{learns, members[port.Index].GroupForwarding}
		return now == s
	})
}

// TestSpanningTree checks that a guest's claim to be the root bridge meets a rule, although the bridge with spanning tree
// takes such frames itself. (Within a network namespace the kernel drops them afterwards, so the claim never succeeds.)
func TestSpanningTree(t *testing.T) {
	labtest.NeedProgram(t, "ip")
	s := build(t, onBridge)
	// Without the delay, which can't be 0 once spanning tree is on, the ports would not forward for 30 s.
	ip(t, "link", "set", bridgeName, "type", "bridge", "forward_delay", "0")
	ip(t, "link", "set", bridgeName, "type", "bridge", "stp_state", "1")
	fabric := start(t, network(s.attach))
	claim := rootClaim(s.app.MAC)
	s.app.send(t, claim)
	fabric.expectCounts(t, s.app.Port, counts{responder.UnsupportedEtherType: 1}, "a claim to be the root")
	if s.db.hasReceived(claim) || s.idle.hasReceived(claim) {
		t.Error("another guest received it")
	}
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if output, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

// rootClaim returns a configuration BPDU from a bridge of the highest priority (IEEE 802.1D, 9.3.1).
func rootClaim(mac net.HardwareAddr) []byte {
	id := append(make([]byte, 2), mac...)
	return slices.Concat(
		[]byte{0x01, 0x80, 0xc2, 0, 0, 0}, mac, []byte{0, 38}, // length
		[]byte{0x42, 0x42, 0x03}, make([]byte, 5), // LLC; protocol, version, type and flags
		id, make([]byte, 4), id, []byte{0x80, 0x01}, // root, cost of the path, bridge, port
		[]byte{0, 0, 20, 0, 2, 0, 15, 0}, // age, maximum age, hello time, forward delay, in 1/256 s
		make([]byte, 8),                  // padding
	)
}

// TestAnswersDoNotMoveTheOwner checks that the fabric's answers do not make a bridge move the FDB entry of the owner's
// MAC.
func TestAnswersDoNotMoveTheOwner(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		start(t, network(s.attach))
		sendMark(t, s.db, s.app, 1)
		expectLocated(t, s.db.MAC, s.db.Port)
		s.app.send(t, s.app.request(dbAddr).Frame())
		s.app.expectAnswer(t, 1, dbAddr, dbMAC)
		expectBehind(t, s.db.MAC, s.db.Port)
	})
}

// expectLocated waits until the bridges have mac on port, and on no other port.
func expectLocated(t *testing.T, mac net.HardwareAddr, port string) {
	t.Helper()
	labtest.Eventually(t, fmt.Sprintf("%s is behind %s", mac, port), func() bool {
		return slices.Equal(learnedBehind(t, mac), []string{port})
	})
}

// expectBehind checks that the bridges know mac on port, and on no other port. It waits while they know no port, because the
// fabric may be about to write the entry.
func expectBehind(t *testing.T, mac net.HardwareAddr, port string) {
	t.Helper()
	var behind []string
	labtest.Eventually(t, "a bridge knows the port of "+mac.String(), func() bool {
		behind = learnedBehind(t, mac)
		return len(behind) > 0
	})
	if !slices.Equal(behind, []string{port}) {
		t.Errorf("%s is behind %v, want %s", mac, behind, port)
	}
}

// learnedBehind returns the ports on which the bridges have learned a MAC. One that can filter VLANs has an entry for each
// VLAN.
func learnedBehind(t *testing.T, mac net.HardwareAddr) []string {
	t.Helper()
	entries, err := netlink.NeighList(0, unix.AF_BRIDGE)
	labtest.Must(t, err)
	var behind []string
	for _, e := range entries {
		if bytes.Equal(e.HardwareAddr, mac) {
			l, err := netlink.LinkByIndex(e.LinkIndex)
			labtest.Must(t, err)
			behind = append(behind, l.Attrs().Name)
		}
	}
	slices.Sort(behind)
	return slices.Compact(behind)
}
