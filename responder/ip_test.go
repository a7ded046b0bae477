package responder_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// An ipFrame is an IPv4 frame by its fields, each of which a test can set to a wrong value.
type ipFrame struct {
	dst, src         registry.MAC
	tags             []uint32 // each TPID and TCI
	etherType        uint16
	version, ihl     uint8
	fragment         uint16 // flags and offset
	protocol         uint8
	srcIP, dstIP     netip.Addr
	srcPort, dstPort uint16
	dhcp             *dhcpMessage // the payload; nil for 3 bytes
}

// A dhcpMessage has the fields of a DHCP message that matter (RFC 2131, 2).
type dhcpMessage struct {
	op, htype, hlen byte
	giaddr          netip.Addr
	chaddr          registry.MAC // the sender's if it is zero
}

func (m dhcpMessage) bytes(sender registry.MAC) []byte {
	b := make([]byte, 240)
	b[0], b[1], b[2] = m.op, m.htype, m.hlen
	copy(b[24:], m.giaddr.AsSlice())
	copy(b[28:], sender[:])
	if m.chaddr != (registry.MAC{}) {
		copy(b[28:], m.chaddr[:])
	}
	return b
}

// datagram is a UDP datagram from one guest to the other, with a payload of 3 bytes.
var datagram = ipFrame{
	dst: otherMAC, src: guestMAC, etherType: 0x0800, version: 4, ihl: 5, fragment: 0x4000, protocol: 17,
	srcIP: guestIP, dstIP: otherIP, srcPort: 1234, dstPort: 53,
}

// discover is the packet of a DHCP client without an address.
var discover = datagram.with(func(f *ipFrame) {
	f.dst, f.srcIP, f.dstIP, f.srcPort, f.dstPort = broadcast, noIP, ip("255.255.255.255"), 68, 67
	f.dhcp = &dhcpMessage{op: 1, htype: 1, hlen: 6, giaddr: noIP}
})

// withMessage returns a copy of f with a changed DHCP message.
func (f ipFrame) withMessage(change func(*dhcpMessage)) ipFrame {
	m := *f.dhcp
	change(&m)
	f.dhcp = &m
	return f
}

// with returns a changed copy of f.
func (f ipFrame) with(change func(*ipFrame)) ipFrame {
	change(&f)
	return f
}

func (f ipFrame) bytes() []byte {
	b := slices.Concat(f.dst[:], f.src[:])
	for _, tag := range f.tags {
		b = binary.BigEndian.AppendUint32(b, tag)
	}
	b = binary.BigEndian.AppendUint16(b, f.etherType)
	words := max(5, int(f.ihl))
	b = append(b, f.version<<4|f.ihl, 0)
	payload := []byte("abc")
	if f.dhcp != nil {
		payload = f.dhcp.bytes(f.src)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(words*4+8+len(payload)))
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, f.fragment)
	b = append(b, 64, f.protocol, 0, 0)
	b = slices.Concat(b, f.srcIP.AsSlice(), f.dstIP.AsSlice(), bytes.Repeat([]byte{1}, words*4-20)) // 1: no operation
	b = binary.BigEndian.AppendUint16(b, f.srcPort)
	b = binary.BigEndian.AppendUint16(b, f.dstPort)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

// admit records the frame, calls Decide for a port with an allow-list, and fails the test if it changed the frame or allocated.
func admit(t testing.TB, n network, in responder.Ingress, frame []byte) responder.Verdict {
	t.Helper()
	in.AllowList = true
	n.record(in, frame)
	before := bytes.Clone(frame)
	var v responder.Verdict
	if allocs := testing.AllocsPerRun(10, func() { v = n.Decide(in, frame, nil) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if !bytes.Equal(frame, before) {
		t.Errorf("Decide changed the frame\n%x to\n%x", before, frame)
	}
	return v
}

// An admission is a frame at a port with an allow-list, and the expected verdict.
type admission struct {
	name   string
	policy responder.Policy
	in     responder.Ingress
	frame  []byte
	action responder.Action
	reason responder.Reason
}

func runAdmissions(t *testing.T, tests []admission) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := admit(t, fabric(t, tt.policy), tt.in, tt.frame)
			if want := (responder.Verdict{Action: tt.action, Reason: tt.reason}); v != want {
				t.Errorf("verdict is %+v; want %s, %s", v, want.Action, want.Reason)
			}
		})
	}
}

// cutPacket returns a frame whose IPv4 packet has n bytes.
func cutPacket(frame []byte, n int) []byte { return totalLength(frame[:14+n], n) }

// totalLength returns a copy of a frame in which the IPv4 header says that the packet has n bytes.
func totalLength(frame []byte, n int) []byte {
	frame = bytes.Clone(frame)
	binary.BigEndian.PutUint16(frame[16:], uint16(n))
	return frame
}

func TestAllowListForm(t *testing.T) {
	whole := datagram.bytes()
	wrong := func(name string, reason responder.Reason, change func(*ipFrame)) admission {
		return admission{name: name, frame: datagram.with(change).bytes(), action: drop, reason: reason}
	}
	trunk := wrong("a tag on a trunk", responder.UnexpectedVLAN, func(f *ipFrame) { f.tags = []uint32{0x8100_0005} })
	trunk.in.Trunk = true
	runAdmissions(t, []admission{
		{name: "nothing", action: drop, reason: responder.Malformed},
		{name: "Ethernet header cut", frame: whole[:13], action: drop, reason: responder.Malformed},
		{name: "no IPv4 header", frame: whole[:14], action: drop, reason: responder.Malformed},
		{name: "IPv4 header cut", frame: whole[:33], action: drop, reason: responder.Malformed},
		{name: "IPv4 header and nothing else", frame: cutPacket(whole, 20), action: pass, reason: responder.Admitted},
		{name: "less than the header says", frame: whole[:len(whole)-1], action: drop, reason: responder.Malformed},
		{name: "more than the header says", frame: append(whole, make([]byte, 20)...), action: pass, reason: responder.Admitted},
		{name: "a total length shorter than the header", frame: totalLength(whole, 19), action: drop, reason: responder.Malformed},
		{name: "cut off after 256 bytes", frame: totalLength(append(whole, make([]byte, 256-len(whole))...), 1500), action: pass, reason: responder.Admitted},
		{name: "cut off before", frame: totalLength(append(whole, make([]byte, 255-len(whole))...), 1500), action: drop, reason: responder.Malformed},
		{
			name: "options cut", frame: datagram.with(func(f *ipFrame) { f.ihl = 15 }).bytes()[:73],
			action: drop, reason: responder.Malformed,
		},
		{
			name: "options", frame: cutPacket(datagram.with(func(f *ipFrame) { f.ihl = 15 }).bytes(), 60),
			action: pass, reason: responder.Admitted,
		},
		wrong("version 0", responder.Malformed, func(f *ipFrame) { f.version = 0 }),
		wrong("version 5", responder.Malformed, func(f *ipFrame) { f.version = 5 }),
		wrong("version 6", responder.Malformed, func(f *ipFrame) { f.version = 6 }),
		wrong("header length 0", responder.Malformed, func(f *ipFrame) { f.ihl = 0 }),
		wrong("header length 4", responder.Malformed, func(f *ipFrame) { f.ihl = 4 }),
		wrong("802.1Q", responder.UnexpectedVLAN, func(f *ipFrame) { f.tags = []uint32{0x8100_0005} }),
		wrong("802.1Q, VID 0", responder.UnexpectedVLAN, func(f *ipFrame) { f.tags = []uint32{0x8100_0000} }),
		wrong("802.1ad", responder.UnexpectedVLAN, func(f *ipFrame) { f.tags = []uint32{0x88a8_0005} }),
		wrong("0x9100", responder.UnexpectedVLAN, func(f *ipFrame) { f.tags = []uint32{0x9100_0005} }),
		wrong("stacked", responder.UnexpectedVLAN, func(f *ipFrame) { f.tags = []uint32{0x88a8_0005, 0x8100_0005} }),
		trunk,
		wrong("source zero", responder.InvalidSenderMAC, func(f *ipFrame) { f.src = zeroMAC }),
		wrong("source broadcast", responder.InvalidSenderMAC, func(f *ipFrame) { f.src = broadcast }),
		wrong("source multicast", responder.InvalidSenderMAC, func(f *ipFrame) { f.src[0] |= 1 }),
		wrong("an ARP EtherType", responder.Malformed, func(f *ipFrame) { f.etherType = 0x0806 }),
		wrong("LLDP", responder.UnsupportedEtherType, func(f *ipFrame) { f.etherType = 0x88cc }),
		wrong("LLC", responder.UnsupportedEtherType, func(f *ipFrame) { f.etherType = 38 }),
		wrong("byte order", responder.UnsupportedEtherType, func(f *ipFrame) { f.etherType = 0x0008 }),
		wrong("EtherType 0x0801", responder.UnsupportedEtherType, func(f *ipFrame) { f.etherType = 0x0801 }),
	})
}

// tiedMAC has the only address in the registry that is tied to a port, vnet3.
var tiedMAC = mac("02:00:08:de:54:a8")

// TestAllowListRegistered tests the frames that pass if the source MAC has any binding.
func TestAllowListRegistered(t *testing.T) {
	kinds := []struct {
		name   string
		policy responder.Policy
		frame  ipFrame
		passes responder.Reason
	}{
		{"RARP", responder.Policy{}, datagram.with(func(f *ipFrame) { f.etherType = 0x8035 }), responder.RARPAnnouncement},
		{
			"IPv6", responder.Policy{PassIPv6: true}, datagram.with(func(f *ipFrame) { f.etherType = 0x86dd }),
			responder.IPv6,
		},
		{"DHCP", responder.Policy{}, discover, responder.DHCPClient},
	}
	for _, kind := range kinds {
		senders := []struct {
			name   string
			mac    registry.MAC
			port   string
			passes bool
		}{
			{"of a registered MAC", guestMAC, "vnet0", true},
			{"of the owner of a range", mac("02:00:0a:00:00:01"), "vnet0", true},
			{"of a stranger", strangerMAC, "vnet0", false},
			{"of the highest MAC", mac("fe:ff:ff:ff:ff:ff"), "vnet0", false},
			{"of the lowest MAC", mac("00:00:00:00:00:01"), "vnet0", false},
			{"of a MAC tied to the port", tiedMAC, "vnet3", true},
			{"of a MAC tied to another port", tiedMAC, "vnet4", false},
			{"of a MAC tied to a port, from one without a name", tiedMAC, "", false},
		}
		var tests []admission
		for _, s := range senders {
			tt := admission{
				name: kind.name + " " + s.name, policy: kind.policy, in: responder.Ingress{Port: s.port},
				frame:  kind.frame.with(func(f *ipFrame) { f.src = s.mac }).bytes(),
				action: drop, reason: responder.UnregisteredMAC,
			}
			if s.passes {
				tt.action, tt.reason = pass, kind.passes
			}
			tests = append(tests, tt)
		}
		runAdmissions(t, tests)
	}
}

func TestAllowListIPv6(t *testing.T) {
	frame := datagram.with(func(f *ipFrame) { f.etherType = 0x86dd })
	stranger := frame.with(func(f *ipFrame) { f.src = strangerMAC }).bytes()
	toAll := frame.with(func(f *ipFrame) { f.dst = mac("33:33:00:00:00:01") }).bytes()
	passes := responder.Policy{PassIPv6: true}
	runAdmissions(t, []admission{
		{name: "dropped", frame: frame.bytes(), action: drop, reason: responder.IPv6},
		{name: "dropped, of a stranger", frame: stranger, action: drop, reason: responder.IPv6},
		{name: "to a group", policy: passes, frame: toAll, action: pass, reason: responder.IPv6},
		{name: "nothing but a header", policy: passes, frame: frame.bytes()[:14], action: pass, reason: responder.IPv6},
	})
}

// TestAllowListSeveralBindings has a MAC with addresses on several ports, one with an address on a port and another
// address on none, and one all of whose addresses belong to others by narrower bindings.
func TestAllowListSeveralBindings(t *testing.T) {
	at := func(port string, b registry.Binding) registry.Binding {
		b.Port = port
		return b
	}
	n := newNetwork(t, responder.Policy{},
		at("vnet1", bind("10.0.0.1", "02:00:00:00:00:0a")), at("vnet2", bind("10.0.0.2", "02:00:00:00:00:0a")),
		bind("10.0.1.0-10.0.1.1", "02:00:00:00:00:0b"), bind("10.0.1.0", "02:00:00:00:00:0c"), bind("10.0.1.1", "02:00:00:00:00:0c"),
		bind("10.0.2.1", "02:00:00:00:00:0d"), at("vnet1", bind("10.0.2.2", "02:00:00:00:00:0d")),
	)
	for _, tt := range []struct {
		mac, port string
		want      responder.Reason
	}{
		{"02:00:00:00:00:0a", "vnet1", responder.RARPAnnouncement},
		{"02:00:00:00:00:0a", "vnet2", responder.RARPAnnouncement},
		{"02:00:00:00:00:0a", "vnet3", responder.UnregisteredMAC},
		{"02:00:00:00:00:0b", "vnet1", responder.UnregisteredMAC},
		{"02:00:00:00:00:0c", "vnet1", responder.RARPAnnouncement},
		{"02:00:00:00:00:0d", "vnet1", responder.RARPAnnouncement},
		{"02:00:00:00:00:0d", "vnet2", responder.UnregisteredMAC},
	} {
		frame := datagram.with(func(f *ipFrame) { f.etherType, f.src = 0x8035, mac(tt.mac) }).bytes()
		if v := admit(t, n, responder.Ingress{Port: tt.port}, frame); v.Reason != tt.want {
			t.Errorf("RARP of %s from %s is %s; want %s", tt.mac, tt.port, v.Reason, tt.want)
		}
	}
}

// TestAllowListDHCP changes one field of a DHCP client's packet. It is then no longer DHCP, and its source address is
// checked as that of any other packet.
func TestAllowListDHCP(t *testing.T) {
	other := func(name string, reason responder.Reason, change func(*ipFrame)) admission {
		return admission{name: name, frame: discover.with(change).bytes(), action: drop, reason: reason}
	}
	same := func(name string, change func(*ipFrame)) admission {
		tt := other(name, responder.DHCPClient, change)
		tt.action = pass
		return tt
	}
	cut := same("ports cut", func(*ipFrame) {})
	cut.frame, cut.action, cut.reason = cutPacket(cut.frame, 23), drop, responder.UnregisteredSource
	runAdmissions(t, []admission{
		same("discover", func(*ipFrame) {}),
		same("options", func(f *ipFrame) { f.ihl = 6 }),
		same("may be fragmented", func(f *ipFrame) { f.fragment = 0 }),
		cut,
		other("later fragment", responder.UnregisteredSource, func(f *ipFrame) { f.fragment = 1 }),
		other("last fragment", responder.UnregisteredSource, func(f *ipFrame) { f.fragment = 0x1000 }),
		other("TCP", responder.UnregisteredSource, func(f *ipFrame) { f.protocol = 6 }),
		other("from another port", responder.UnregisteredSource, func(f *ipFrame) { f.srcPort = 67 }),
		other("to another port", responder.UnregisteredSource, func(f *ipFrame) { f.dstPort = 68 }),
		other("Ethernet unicast", responder.UnregisteredSource, func(f *ipFrame) { f.dst = otherMAC }),
		other("Ethernet multicast", responder.UnregisteredSource, func(f *ipFrame) { f.dst[5] = 0xfe }),
		other("to a host", responder.UnregisteredSource, func(f *ipFrame) { f.dstIP = otherIP }),
		same("from its own address", func(f *ipFrame) { f.srcIP = guestIP }),
		other("from its own address, to a DHCP client", responder.GroupDestination,
			func(f *ipFrame) { f.srcIP, f.srcPort, f.dstPort = guestIP, 67, 68 }),
		other("from its own address, to another port", responder.GroupDestination, func(f *ipFrame) { f.srcIP, f.dstPort = guestIP, 69 }),
		other("from its own address, to a host", responder.GroupDestination, func(f *ipFrame) { f.srcIP, f.dstIP = guestIP, otherIP }),
		other("from another's address", responder.SpoofedSource, func(f *ipFrame) { f.srcIP = otherIP }),
	})
}

// TestOpenDHCP has clients without a binding, with `dhcp: open` and without.
func TestOpenDHCP(t *testing.T) {
	open := responder.Policy{OpenDHCP: true}
	stranger := discover.with(func(f *ipFrame) { f.src = strangerMAC })
	atHome := func(f *ipFrame) { f.src = tiedMAC }
	runAdmissions(t, []admission{
		{name: "closed", frame: stranger.bytes(), action: drop, reason: responder.UnregisteredMAC},
		{name: "a new client", policy: open, frame: stranger.bytes(), action: pass, reason: responder.DHCPClient},
		{name: "a registered one", policy: open, frame: discover.bytes(), action: pass, reason: responder.DHCPClient},
		{name: "one that is bound to another port", policy: open, in: responder.Ingress{Port: "vnet9"},
			frame: discover.with(atHome).bytes(), action: drop, reason: responder.UnregisteredMAC},
		{name: "in another client's name", policy: open,
			frame:  stranger.withMessage(func(m *dhcpMessage) { m.chaddr = guestMAC }).bytes(),
			action: drop, reason: responder.InvalidDHCP},
		{name: "by a relay", policy: open, frame: stranger.withMessage(func(m *dhcpMessage) { m.giaddr = guestIP }).bytes(),
			action: drop, reason: responder.InvalidDHCP},
		{name: "from an address", policy: open, frame: stranger.with(func(f *ipFrame) { f.srcIP = strangerIP }).bytes(),
			action: drop, reason: responder.UnregisteredSource},
		{name: "to one server", policy: open, frame: stranger.with(func(f *ipFrame) { f.dst = otherMAC }).bytes(),
			action: drop, reason: responder.UnregisteredSource},
		{name: "as a server", policy: open, frame: stranger.with(func(f *ipFrame) { f.srcPort, f.dstPort = 67, 68 }).bytes(),
			action: drop, reason: responder.UnregisteredSource},
		{name: "IPv6", policy: responder.Policy{OpenDHCP: true, PassIPv6: true},
			frame: stranger.with(func(f *ipFrame) { f.etherType = 0x86dd }).bytes(), action: drop, reason: responder.UnregisteredMAC},
	})
}

// TestInvalidDHCP changes one field of a message to DHCP servers, in a broadcast or in a unicast frame to a server: it is
// then not the sender's own request. It may come from any port.
func TestInvalidDHCP(t *testing.T) {
	renew := discover.with(func(f *ipFrame) { f.srcIP, f.dst, f.dstIP = guestIP, otherMAC, otherIP })
	cut := func(f ipFrame, payload int) []byte { return cutPacket(f.bytes(), 20+8+payload) }
	var tests []admission
	add := func(name string, frame []byte, reason responder.Reason) {
		tt := admission{name: name, frame: frame, action: drop, reason: reason}
		if reason != responder.InvalidDHCP {
			tt.action = pass
		}
		tests = append(tests, tt)
	}
	for _, kind := range []struct {
		name   string
		frame  ipFrame
		passes responder.Reason
	}{
		{"discover", discover, responder.DHCPClient},
		{"rebind", discover.with(func(f *ipFrame) { f.srcIP = guestIP }), responder.DHCPClient},
		{"renew", renew, responder.Admitted},
		{"renew from another port", renew.with(func(f *ipFrame) { f.srcPort = 67 }), responder.Admitted},
	} {
		add(kind.name, kind.frame.bytes(), kind.passes)
		add(kind.name+", with all fields and no more", cut(kind.frame, 34), kind.passes)
		add(kind.name+", without the end of chaddr", cut(kind.frame, 33), responder.InvalidDHCP)
		for field, change := range map[string]func(*dhcpMessage){
			"op of a reply":                    func(m *dhcpMessage) { m.op = 2 },
			"htype of IEEE 802":                func(m *dhcpMessage) { m.htype = 6 },
			"hlen 0":                           func(m *dhcpMessage) { m.hlen = 0 },
			"giaddr":                           func(m *dhcpMessage) { m.giaddr = guestIP },
			"another's chaddr":                 func(m *dhcpMessage) { m.chaddr = otherMAC },
			"first byte of chaddr":             func(m *dhcpMessage) { m.chaddr = guestMAC; m.chaddr[0] ^= 0x10 },
			"lower half of chaddr's last byte": func(m *dhcpMessage) { m.chaddr = guestMAC; m.chaddr[5] ^= 0x01 },
		} {
			add(kind.name+", "+field, kind.frame.withMessage(change).bytes(), responder.InvalidDHCP)
		}
	}
	// A receiver puts fragments together without the padding that may follow in their frames.
	add("renew in a first fragment", renew.with(func(f *ipFrame) { f.fragment = 0x2000 }).bytes(), responder.InvalidDHCP)
	add("discover in a first fragment", discover.with(func(f *ipFrame) { f.fragment = 0x2000 }).bytes(), responder.InvalidDHCP)
	short := renew.bytes()
	binary.BigEndian.PutUint16(short[14+20+4:], 8+33)
	add("renew whose datagram ends before chaddr does", short, responder.InvalidDHCP)
	add("a server's answer", renew.with(func(f *ipFrame) { f.srcPort, f.dstPort = 67, 68 }).bytes(), responder.InvalidDHCP)
	add("a later fragment", renew.with(func(f *ipFrame) { f.fragment, f.srcPort, f.dstPort = 1, 67, 68 }).bytes(), responder.Admitted)
	add("TCP", renew.with(func(f *ipFrame) { f.protocol, f.dstPort = 6, 68 }).bytes(), responder.Admitted)
	runAdmissions(t, tests)
}

// TestUnknownDestinationOutside sends IPv4 to a MAC without a binding, where hosts behind the uplinks may have it.
func TestUnknownDestinationOutside(t *testing.T) {
	outside := responder.Policy{UnknownToUplinks: true}
	test := func(name string, action responder.Action, reason responder.Reason, change func(*ipFrame)) admission {
		toStranger := datagram.with(func(f *ipFrame) { f.dst, f.dstIP = strangerMAC, strangerIP })
		return admission{name: name, policy: outside, frame: toStranger.with(change).bytes(), action: action, reason: reason}
	}
	renew := discover.with(func(f *ipFrame) { f.srcIP, f.dst, f.dstIP = guestIP, strangerMAC, strangerIP })
	forged := renew.withMessage(func(m *dhcpMessage) { m.chaddr = otherMAC })
	runAdmissions(t, []admission{
		test("to a stranger", pass, responder.UnknownDestination, func(*ipFrame) {}),
		test("beyond a strange router", pass, responder.UnknownDestination, func(f *ipFrame) { f.dstIP = ip("192.0.2.1") }),
		test("to a group, in a unicast frame", drop, responder.UnknownDestination, func(f *ipFrame) { f.dstIP = ip("224.0.0.251") }),
		test("to a loopback address", drop, responder.UnknownDestination, func(f *ipFrame) { f.dstIP = ip("127.0.0.1") }),
		test("to a group", drop, responder.GroupDestination, func(f *ipFrame) { f.dst = mac("01:00:5e:00:00:fb") }),
		test("from another's address", drop, responder.SpoofedSource, func(f *ipFrame) { f.srcIP = otherIP }),
		test("to a guest, for a strange address", drop, responder.ForeignDestination, func(f *ipFrame) { f.dst = otherMAC }),
		{name: "DHCP", policy: outside, frame: renew.bytes(), action: pass, reason: responder.UnknownDestination},
		{name: "DHCP of another", policy: outside, frame: forged.bytes(), action: drop, reason: responder.InvalidDHCP},
	})
}

func TestAllowListIPv4(t *testing.T) {
	hostMAC := mac("02:00:00:00:00:fe")
	tied := datagram.with(func(f *ipFrame) { f.src, f.srcIP = tiedMAC, ip("10.239.0.103") })
	ranged := datagram.with(func(f *ipFrame) { f.src, f.srcIP = mac("02:00:0a:00:00:01"), ip("10.239.0.191") })
	change := func(name string, reason responder.Reason, change func(*ipFrame)) admission {
		tt := admission{name: name, frame: datagram.with(change).bytes(), action: drop, reason: reason}
		if reason == responder.Admitted {
			tt.action = pass
		}
		return tt
	}
	with := func(tt admission, change func(*admission)) admission {
		change(&tt)
		return tt
	}
	toHost := change("to the host", responder.Admitted, func(f *ipFrame) { f.dst = hostMAC })
	toZero := change("to the zero MAC", responder.UnknownDestination, func(f *ipFrame) { f.dst = zeroMAC })
	fromStranger := change("from an unbound address", responder.UnregisteredSource,
		func(f *ipFrame) { f.srcIP = strangerIP })
	spoofed := change("from another's address", responder.SpoofedSource, func(f *ipFrame) { f.srcIP = otherIP })
	anySender := func(tt *admission) { tt.name, tt.policy.AnySender = tt.name+", any sender", true }
	hasHost := func(tt *admission) { tt.in.HostMAC = hostMAC }
	runAdmissions(t, []admission{
		change("to a guest", responder.Admitted, func(*ipFrame) {}),
		change("to itself", responder.Admitted, func(f *ipFrame) { f.dst, f.dstIP = guestMAC, guestIP }),
		change("to a MAC tied to a port", responder.Admitted, func(f *ipFrame) { f.dst, f.dstIP = tiedMAC, ip("10.239.0.103") }),
		change("to a range's owner", responder.Admitted, func(f *ipFrame) { f.dst, f.dstIP = mac("02:00:0a:00:00:01"), ip("10.239.0.128") }),
		change("ICMP", responder.Admitted, func(f *ipFrame) { f.protocol = 1 }),
		change("a fragment", responder.Admitted, func(f *ipFrame) { f.fragment = 0x1fff }),
		{
			name: "from its port", in: responder.Ingress{Port: "vnet3"}, frame: tied.bytes(),
			action: pass, reason: responder.Admitted,
		},
		{
			name: "from another port", in: responder.Ingress{Port: "vnet4"}, frame: tied.bytes(),
			action: drop, reason: responder.SpoofedSource,
		},
		{name: "from a range", frame: ranged.bytes(), action: pass, reason: responder.Admitted},
		{
			name:  "from next to a range",
			frame: ranged.with(func(f *ipFrame) { f.srcIP = ip("10.239.0.192") }).bytes(), action: drop,
			reason: responder.UnregisteredSource,
		},
		fromStranger, with(fromStranger, anySender),
		change("from 0.0.0.0", responder.UnregisteredSource, func(f *ipFrame) { f.srcIP = noIP }),
		change("from 127.0.0.1", responder.UnregisteredSource, func(f *ipFrame) { f.srcIP = ip("127.0.0.1") }),
		change("from the broadcast address", responder.UnregisteredSource, func(f *ipFrame) { f.srcIP = ip("255.255.255.255") }),
		spoofed, with(spoofed, anySender),
		change("by a stranger", responder.SpoofedSource, func(f *ipFrame) { f.src = strangerMAC }),
		change("by the other's MAC", responder.SpoofedSource, func(f *ipFrame) { f.src = otherMAC }),
		change("to the broadcast MAC", responder.GroupDestination, func(f *ipFrame) { f.dst = broadcast }),
		change("to a group", responder.GroupDestination, func(f *ipFrame) { f.dst = mac("01:00:5e:00:00:01") }),
		change("to a registered MAC with the group bit", responder.GroupDestination, func(f *ipFrame) { f.dst[0] |= 1 }),
		change("to a stranger", responder.UnknownDestination, func(f *ipFrame) { f.dst = strangerMAC }),
		toZero, with(toZero, hasHost),
		with(toHost, hasHost),
		with(toHost, func(tt *admission) {
			tt.name, tt.action, tt.reason = "to an unknown host MAC", drop, responder.UnknownDestination
		}),
		with(change("by the host's MAC", responder.SpoofedSource, func(f *ipFrame) { f.src = hostMAC }), hasHost),
		{
			name: "with the host's MAC as its source", in: responder.Ingress{HostMAC: guestMAC}, frame: datagram.bytes(),
			action: drop, reason: responder.SpoofedSource,
		},
	})
}

// TestForeignDestination sends IPv4 in unicast frames to addresses that are not the receiver's own. The host and the
// gateway receive for all that a host can have, and nobody for groups.
func TestForeignDestination(t *testing.T) {
	hostMAC, routerMAC := mac("02:00:00:00:00:fe"), mac("02:00:0b:00:00:01")
	router := bind("10.239.0.7", routerMAC.String())
	router.Routes = registry.PrefixesOf(netip.MustParsePrefix("192.0.2.0/24"))
	n := newNetwork(t, responder.Policy{Gateway: gatewayIP},
		bind("10.239.0.1", gatewayMAC.String()), bind("10.239.0.101", guestMAC.String()), bind("10.239.0.102", otherMAC.String()),
		bind("10.239.0.128-10.239.0.191", "02:00:0a:00:00:01"), router,
	)
	groups := []string{"224.0.0.1", "224.0.0.251", "239.255.255.250", "255.255.255.255", "240.0.0.1", "127.0.0.1"}
	for _, tt := range []struct {
		receiver registry.MAC
		refused  []string
		received []string
	}{
		{otherMAC, append(groups, "10.239.0.255", "10.239.0.200", "10.239.0.101", "10.239.0.1", "192.0.2.1", "0.0.0.0"), []string{"10.239.0.102"}},
		{mac("02:00:0a:00:00:01"), append(groups, "10.239.0.127", "10.239.0.192"), []string{"10.239.0.128", "10.239.0.191"}},
		{gatewayMAC, groups, []string{"10.239.0.1", "192.0.2.1", "10.239.0.102", "10.239.0.255"}},
		{hostMAC, groups, []string{"10.239.0.254", "192.0.2.1", "10.239.0.255"}},
		{routerMAC, append(groups, "198.51.100.1", "10.239.0.102"), []string{"10.239.0.7", "192.0.2.1"}},
	} {
		for addr, want := range expected(tt.refused, tt.received) {
			frame := datagram.with(func(f *ipFrame) { f.dst, f.dstIP = tt.receiver, ip(addr) }).bytes()
			if v := admit(t, n, responder.Ingress{HostMAC: hostMAC}, frame); v != want {
				t.Errorf("%s to %s: %+v, want %+v", addr, tt.receiver, v, want)
			}
		}
	}
}

// TestTunnel sends VXLAN to a host with tunnels, which may take it at any of its addresses, or forward it.
func TestTunnel(t *testing.T) {
	host := responder.Ingress{HostMAC: mac("02:00:00:00:00:fe")}
	tunnels := responder.Policy{Gateway: gatewayIP, HostTunnels: true}
	vxlan := datagram.with(func(f *ipFrame) { f.dst, f.dstIP, f.dstPort = host.HostMAC, ip("192.0.2.1"), 4789 })
	toGateway := vxlan.with(func(f *ipFrame) { f.dst = gatewayMAC })
	gatewayIsHost := responder.Ingress{HostMAC: gatewayMAC}
	with := func(change func(*ipFrame)) []byte { return vxlan.with(change).bytes() }
	runAdmissions(t, []admission{
		{"to the host", tunnels, host, vxlan.bytes(), drop, responder.ForeignDestination},
		{"a first fragment", tunnels, host, with(func(f *ipFrame) { f.fragment = 0x2000 }), drop, responder.ForeignDestination},
		{"behind IPv4 options", tunnels, host, with(func(f *ipFrame) { f.ihl = 15 }), drop, responder.ForeignDestination},
		{"to the host as the gateway", tunnels, gatewayIsHost, toGateway.bytes(), drop, responder.ForeignDestination},
		{"to another gateway", tunnels, host, toGateway.bytes(), pass, responder.Admitted},
		{"to a guest", tunnels, host, with(func(f *ipFrame) { f.dst, f.dstIP = otherMAC, otherIP }), pass, responder.Admitted},
		{"TCP", tunnels, host, with(func(f *ipFrame) { f.protocol = 6 }), pass, responder.Admitted},
		{"another port", tunnels, host, with(func(f *ipFrame) { f.dstPort = 4790 }), pass, responder.Admitted},
		{"a later fragment", tunnels, host, with(func(f *ipFrame) { f.fragment = 1 }), pass, responder.Admitted},
		{"a host without tunnels", responder.Policy{}, host, vxlan.bytes(), pass, responder.Admitted},
	})
}

// expected returns the verdicts on frames to addresses.
func expected(refused, received []string) map[string]responder.Verdict {
	want := map[string]responder.Verdict{}
	for _, addr := range refused {
		want[addr] = responder.Verdict{Action: drop, Reason: responder.ForeignDestination}
	}
	for _, addr := range received {
		want[addr] = responder.Verdict{Action: pass, Reason: responder.Admitted}
	}
	return want
}

func TestAllowListWithoutBindings(t *testing.T) {
	var empty registry.Registry
	if v := admit(t, network{Responder: responder.New(&empty, responder.Policy{})}, responder.Ingress{}, discover.bytes()); v.Action != drop {
		t.Errorf("verdict is %+v", v)
	}
}

// allowListFlaws change a datagram that would be admitted so that it matches one row of the table, in the order of the
// rows.
var allowListFlaws = []struct {
	reason responder.Reason
	of     string // the field it changes; two flaws of one field exclude each other
	change func(*ipFrame)
}{
	{responder.UnexpectedVLAN, "tags", func(f *ipFrame) { f.tags = []uint32{0x8100_0000} }},
	{responder.InvalidSenderMAC, "source", func(f *ipFrame) { f.src = zeroMAC }},
	{responder.IPv6, "EtherType", func(f *ipFrame) { f.etherType = 0x86dd }},
	{responder.UnsupportedEtherType, "EtherType", func(f *ipFrame) { f.etherType = 0x88cc }},
	{responder.Malformed, "version", func(f *ipFrame) { f.version = 6 }},
	{responder.UnregisteredSource, "source IP", func(f *ipFrame) { f.srcIP = strangerIP }},
	{responder.SpoofedSource, "source", func(f *ipFrame) { f.src = strangerMAC }},
	{responder.GroupDestination, "destination", func(f *ipFrame) { f.dst = broadcast }},
	{responder.UnknownDestination, "destination", func(f *ipFrame) { f.dst = strangerMAC }},
	{responder.ForeignDestination, "destination IP", func(f *ipFrame) { f.dstIP = strangerIP }},
}

// TestAllowListOrder combines two flaws, and expects the verdict of the earlier row.
func TestAllowListOrder(t *testing.T) {
	n := fabric(t, responder.Policy{})
	for i, earlier := range allowListFlaws {
		for _, later := range allowListFlaws[i:] {
			if earlier.of == later.of && earlier.reason != later.reason {
				continue
			}
			t.Run(fmt.Sprintf("%s before %s", earlier.reason, later.reason), func(t *testing.T) {
				frame := datagram
				earlier.change(&frame)
				later.change(&frame)
				if v := admit(t, n, responder.Ingress{}, frame.bytes()); v.Action != drop || v.Reason != earlier.reason {
					t.Errorf("verdict is %s, %s; want %s", v.Action, v.Reason, earlier.reason)
				}
			})
		}
	}
}

// FuzzDecideIP checks the invariants of the decision on any frame: above all, only frames from a registered MAC pass, and
// IPv4 only from an address that Lookup gives to its sender.
func FuzzDecideIP(f *testing.F) {
	const passIPv6, elsewhere, anySender, host, openDHCP = 1, 2, 4, 8, 16
	arp, rarp := datagram, datagram
	arp.etherType, rarp.etherType = 0x0806, 0x8035
	tied := datagram.with(func(f *ipFrame) { f.src, f.srcIP = tiedMAC, ip("10.239.0.103") })
	routed := tied.with(func(f *ipFrame) { f.srcIP = ip("10.9.0.7") })
	ipv6 := datagram.with(func(f *ipFrame) { f.etherType = 0x86dd })
	for _, seed := range []ipFrame{datagram, discover, arp, rarp, tied, routed, ipv6} {
		f.Add(seed.bytes(), uint8(passIPv6))
		f.Add(seed.with(func(f *ipFrame) { f.src = strangerMAC }).bytes(), uint8(openDHCP))
	}
	for _, flaw := range allowListFlaws {
		f.Add(datagram.with(flaw.change).bytes(), uint8(0))
	}
	hostMAC := mac("02:00:00:00:00:fe")
	f.Fuzz(func(t *testing.T, frame []byte, choice uint8) {
		in := responder.Ingress{Port: "vnet3", AllowList: true}
		if choice&elsewhere != 0 {
			in.Port = "vnet4"
		}
		if choice&host != 0 {
			in.HostMAC = hostMAC
		}
		n := fabric(t, responder.Policy{PassIPv6: choice&passIPv6 != 0, AnySender: choice&anySender != 0, OpenDHCP: choice&openDHCP != 0})
		n.record(in, frame)
		before := bytes.Clone(frame)
		v := n.Decide(in, frame, nil)
		if !bytes.Equal(frame, before) {
			t.Fatalf("Decide changed the frame\n%x to\n%x", before, frame)
		}
		if !slices.Contains(allReasons, v.Reason) || v.Action == reply || v.Len != 0 {
			t.Fatalf("verdict is %+v", v)
		}
		isNew := choice&openDHCP != 0 && v.Reason == responder.DHCPClient && !n.Registry().IsRegistered(registry.MAC(frame[6:12]))
		if v.Action == pass && !isNew {
			checkPassed(t, n.Registry(), in, v.Reason, frame)
		}
		if v.Reason == responder.Admitted && v.Action == drop {
			t.Error("an admitted frame is dropped")
		}
		if id := responder.SenderIdentityOf(frame); len(frame) < 14 && id != (responder.SenderIdentity{}) {
			t.Errorf("%d bytes have the identity %+v", len(frame), id)
		}
	})
}

// checkPassed expects a binding that lets the frame pass.
func checkPassed(t *testing.T, reg *registry.Registry, in responder.Ingress, reason responder.Reason, frame []byte) {
	t.Helper()
	dst, src := registry.MAC(frame[:6]), registry.MAC(frame[6:12])
	mayBe := func(b registry.Binding) bool { return b.MAC == src && (b.Port == "" || b.Port == in.Port) }
	if !slices.ContainsFunc(slices.Collect(reg.All()), mayBe) {
		t.Fatalf("%s lets %s pass, which has no binding for port %s", reason, src, in.Port)
	}
	kinds := map[responder.Reason]uint16{
		responder.RARPAnnouncement: 0x8035, responder.IPv6: 0x86dd, responder.DHCPClient: 0x0800,
		responder.Admitted: 0x0800,
	}
	if kind := binary.BigEndian.Uint16(frame[12:]); kind != kinds[reason] {
		t.Fatalf("%s lets EtherType %#04x pass", reason, kind)
	}
	if reason != responder.Admitted {
		return
	}
	from := netip.AddrFrom4([4]byte(frame[26:30]))
	routes := func(b registry.Binding) bool { return mayBe(b) && b.Routes.Contains(from) }
	if b, ok := reg.Lookup(from); (!ok || !mayBe(b)) && !slices.ContainsFunc(slices.Collect(reg.All()), routes) {
		t.Fatalf("%s on %s sent from an address with the binding %v, %v", src, in.Port, b, ok)
	}
	isThere := func(b registry.Binding) bool { return b.MAC == dst }
	if !slices.ContainsFunc(slices.Collect(reg.All()), isThere) && (in.HostMAC == zeroMAC || dst != in.HostMAC) {
		t.Fatalf("admitted to %s, which has no binding", dst)
	}
	if to := netip.AddrFrom4([4]byte(frame[30:34])); dst != in.HostMAC && !reg.MayReceive(dst, registry.IPv4Of(to)) {
		t.Fatalf("admitted to %s, which does not receive for %s", dst, to)
	}
}
