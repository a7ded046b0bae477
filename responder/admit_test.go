package responder_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
)

// An ipFrame is an IPv4 frame to be written field by field, so that each can be wrong.
type ipFrame struct {
	dst, src         responder.MAC
	tags             []uint32 // each TPID and TCI
	etherType        uint16
	version, ihl     uint8
	fragment         uint16 // flags and offset
	protocol         uint8
	srcIP, dstIP     netip.Addr
	srcPort, dstPort uint16
}

// datagram is a UDP datagram of one guest to the other, with a payload of 3 bytes.
var datagram = ipFrame{
	dst: otherMAC, src: guestMAC, etherType: 0x0800, version: 4, ihl: 5, fragment: 0x4000, protocol: 17,
	srcIP: guestIP, dstIP: otherIP, srcPort: 1234, dstPort: 53,
}

// discover is what a guest sends that has no address yet.
var discover = datagram.with(func(f *ipFrame) {
	f.dst, f.srcIP, f.dstIP, f.srcPort, f.dstPort = broadcast, noIP, ip("255.255.255.255"), 68, 67
})

// with returns a copy of f that change has been made to.
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
	b = binary.BigEndian.AppendUint16(b, uint16(words*4+8+3))
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, f.fragment)
	b = append(b, 64, f.protocol, 0, 0)
	b = slices.Concat(b, f.srcIP.AsSlice(), f.dstIP.AsSlice(), bytes.Repeat([]byte{1}, words*4-20)) // 1: no operation
	b = binary.BigEndian.AppendUint16(b, f.srcPort)
	b = binary.BigEndian.AppendUint16(b, f.dstPort)
	return append(b, 0, 8+3, 0, 0, 'a', 'b', 'c')
}

// admit calls Admit and fails the test if it changed the frame or allocated.
func admit(t testing.TB, r *responder.Responder, in responder.In, frame []byte) responder.Verdict {
	t.Helper()
	before := bytes.Clone(frame)
	var v responder.Verdict
	if allocs := testing.AllocsPerRun(10, func() { v = r.Admit(in, frame) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if !bytes.Equal(frame, before) {
		t.Errorf("Admit changed the frame\n%x to\n%x", before, frame)
	}
	return v
}

// An admission is a frame and what must become of it.
type admission struct {
	name   string
	policy responder.Policy
	in     responder.In
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

func TestAdmitForm(t *testing.T) {
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
		{name: "IPv4 header and nothing else", frame: whole[:34], action: pass, reason: responder.Admitted},
		{
			name: "options cut", frame: datagram.with(func(f *ipFrame) { f.ihl = 15 }).bytes()[:73],
			action: drop, reason: responder.Malformed,
		},
		{
			name: "options", frame: datagram.with(func(f *ipFrame) { f.ihl = 15 }).bytes()[:74],
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
		wrong("ARP", responder.UnsupportedEtherType, func(f *ipFrame) { f.etherType = 0x0806 }),
		wrong("LLDP", responder.UnsupportedEtherType, func(f *ipFrame) { f.etherType = 0x88cc }),
		wrong("LLC", responder.UnsupportedEtherType, func(f *ipFrame) { f.etherType = 38 }),
		wrong("byte order", responder.UnsupportedEtherType, func(f *ipFrame) { f.etherType = 0x0008 }),
		wrong("EtherType 0x0801", responder.UnsupportedEtherType, func(f *ipFrame) { f.etherType = 0x0801 }),
	})
}

// tiedMAC has the one address of the registry that is tied to a port, vnet3.
var tiedMAC = mac("02:00:08:de:54:a8")

// TestAdmitRegistered is about the frames for which a MAC with any binding is enough.
func TestAdmitRegistered(t *testing.T) {
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
			mac    responder.MAC
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
				name: kind.name + " " + s.name, policy: kind.policy, in: responder.In{Port: s.port},
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

func TestAdmitIPv6(t *testing.T) {
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

// TestAdmitSeveralBindings has a MAC with addresses behind several ports, and one whose every address is
// another's, by narrower bindings.
func TestAdmitSeveralBindings(t *testing.T) {
	at := func(port string, b responder.Binding) responder.Binding {
		b.Port = port
		return b
	}
	r := responder.New(registry(t,
		at("vnet1", bind("10.0.0.1", macA)), at("vnet2", bind("10.0.0.2", macA)),
		bind("10.0.1.0-10.0.1.1", macB), bind("10.0.1.0", macC), bind("10.0.1.1", macC),
	), responder.Policy{})
	for _, tt := range []struct {
		mac, port string
		want      responder.Reason
	}{
		{macA, "vnet1", responder.RARPAnnouncement},
		{macA, "vnet2", responder.RARPAnnouncement},
		{macA, "vnet3", responder.UnregisteredMAC},
		{macB, "vnet1", responder.UnregisteredMAC},
		{macC, "vnet1", responder.RARPAnnouncement},
	} {
		frame := datagram.with(func(f *ipFrame) { f.etherType, f.src = 0x8035, mac(tt.mac) }).bytes()
		if v := admit(t, r, responder.In{Port: tt.port}, frame); v.Reason != tt.want {
			t.Errorf("RARP of %s from %s is %s; want %s", tt.mac, tt.port, v.Reason, tt.want)
		}
	}
}

// TestAdmitDHCP changes one thing about what a DHCP client sends: then it is a packet from 0.0.0.0, or
// from where it says, as any other.
func TestAdmitDHCP(t *testing.T) {
	other := func(name string, reason responder.Reason, change func(*ipFrame)) admission {
		return admission{name: name, frame: discover.with(change).bytes(), action: drop, reason: reason}
	}
	same := func(name string, change func(*ipFrame)) admission {
		tt := other(name, responder.DHCPClient, change)
		tt.action = pass
		return tt
	}
	cut := same("ports cut", func(*ipFrame) {})
	cut.frame, cut.action, cut.reason = cut.frame[:37], drop, responder.UnregisteredSource
	whole := same("nothing behind the ports", func(*ipFrame) {})
	whole.frame = whole.frame[:38]
	runAdmissions(t, []admission{
		same("discover", func(*ipFrame) {}),
		same("options", func(f *ipFrame) { f.ihl = 6 }),
		same("may be fragmented", func(f *ipFrame) { f.fragment = 0 }),
		same("first fragment", func(f *ipFrame) { f.fragment = 0x2000 }),
		whole,
		cut,
		other("later fragment", responder.UnregisteredSource, func(f *ipFrame) { f.fragment = 1 }),
		other("last fragment", responder.UnregisteredSource, func(f *ipFrame) { f.fragment = 0x1000 }),
		other("TCP", responder.UnregisteredSource, func(f *ipFrame) { f.protocol = 6 }),
		other("from another port", responder.UnregisteredSource, func(f *ipFrame) { f.srcPort = 67 }),
		other("to another port", responder.UnregisteredSource, func(f *ipFrame) { f.dstPort = 68 }),
		other("Ethernet unicast", responder.UnregisteredSource, func(f *ipFrame) { f.dst = otherMAC }),
		other("Ethernet multicast", responder.UnregisteredSource, func(f *ipFrame) { f.dst[5] = 0xfe }),
		other("to a host", responder.UnregisteredSource, func(f *ipFrame) { f.dstIP = otherIP }),
		other("from an address", responder.GroupDestination, func(f *ipFrame) { f.srcIP = guestIP }),
		other("from another's address", responder.SpoofedSource, func(f *ipFrame) { f.srcIP = otherIP }),
	})
}

func TestAdmitIPv4(t *testing.T) {
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
		change("to any address", responder.Admitted, func(f *ipFrame) { f.dstIP = ip("192.0.2.1") }),
		change("to itself", responder.Admitted, func(f *ipFrame) { f.dst = guestMAC }),
		change("to a MAC tied to a port", responder.Admitted, func(f *ipFrame) { f.dst = tiedMAC }),
		change("to a range's owner", responder.Admitted, func(f *ipFrame) { f.dst = mac("02:00:0a:00:00:01") }),
		change("ICMP", responder.Admitted, func(f *ipFrame) { f.protocol = 1 }),
		change("a fragment", responder.Admitted, func(f *ipFrame) { f.fragment = 0x1fff }),
		{
			name: "from its port", in: responder.In{Port: "vnet3"}, frame: tied.bytes(),
			action: pass, reason: responder.Admitted,
		},
		{
			name: "from another port", in: responder.In{Port: "vnet4"}, frame: tied.bytes(),
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
		change("from everybody", responder.UnregisteredSource, func(f *ipFrame) { f.srcIP = ip("255.255.255.255") }),
		spoofed, with(spoofed, anySender),
		change("by a stranger", responder.SpoofedSource, func(f *ipFrame) { f.src = strangerMAC }),
		change("by the other's MAC", responder.SpoofedSource, func(f *ipFrame) { f.src = otherMAC }),
		change("to everybody", responder.GroupDestination, func(f *ipFrame) { f.dst = broadcast }),
		change("to a group", responder.GroupDestination, func(f *ipFrame) { f.dst = mac("01:00:5e:00:00:01") }),
		change("to a registered MAC with the group bit", responder.GroupDestination, func(f *ipFrame) { f.dst[0] |= 1 }),
		change("to a stranger", responder.UnknownDestination, func(f *ipFrame) { f.dst = strangerMAC }),
		toZero, with(toZero, hasHost),
		with(toHost, hasHost),
		with(toHost, func(tt *admission) {
			tt.name, tt.action, tt.reason = "to a host that there isn't", drop, responder.UnknownDestination
		}),
		with(change("by the host's MAC", responder.SpoofedSource, func(f *ipFrame) { f.src = hostMAC }), hasHost),
		{
			name: "in the host's name", in: responder.In{HostMAC: guestMAC}, frame: datagram.bytes(),
			action: drop, reason: responder.SpoofedSource,
		},
	})
}

func TestAdmitWithoutBindings(t *testing.T) {
	var empty responder.Registry
	if v := admit(t, responder.New(&empty, responder.Policy{}), responder.In{}, discover.bytes()); v.Action != drop {
		t.Errorf("verdict is %+v", v)
	}
}

// admitFlaws make a datagram that would be admitted fit one row of Admit. They are in the order of the rows.
var admitFlaws = []struct {
	reason responder.Reason
	of     string // the one thing it changes: two flaws of one thing exclude each other
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
}

// TestAdmitOrder makes two rows fit at a time: the earlier one is the verdict.
func TestAdmitOrder(t *testing.T) {
	r := fabric(t, responder.Policy{})
	for i, earlier := range admitFlaws {
		for _, later := range admitFlaws[i:] {
			if earlier.of == later.of && earlier.reason != later.reason {
				continue
			}
			t.Run(fmt.Sprintf("%s before %s", earlier.reason, later.reason), func(t *testing.T) {
				frame := datagram
				earlier.change(&frame)
				later.change(&frame)
				if v := admit(t, r, responder.In{}, frame.bytes()); v.Action != drop || v.Reason != earlier.reason {
					t.Errorf("verdict is %s, %s; want %s", v.Action, v.Reason, earlier.reason)
				}
			})
		}
	}
}

// FuzzAdmit holds the invariants of the decision against any frame: above all, nothing passes but from a
// registered MAC, and no IPv4 but from an address that Lookup gives to its sender.
func FuzzAdmit(f *testing.F) {
	const passIPv6, elsewhere, anySender, host = 1, 2, 4, 8
	arp, rarp := datagram, datagram
	arp.etherType, rarp.etherType = 0x0806, 0x8035
	tied := datagram.with(func(f *ipFrame) { f.src, f.srcIP = tiedMAC, ip("10.239.0.103") })
	ipv6 := datagram.with(func(f *ipFrame) { f.etherType = 0x86dd })
	for _, seed := range []ipFrame{datagram, discover, arp, rarp, tied, ipv6} {
		f.Add(seed.bytes(), uint8(passIPv6))
	}
	for _, flaw := range admitFlaws {
		f.Add(datagram.with(flaw.change).bytes(), uint8(0))
	}
	hostMAC := mac("02:00:00:00:00:fe")
	f.Fuzz(func(t *testing.T, frame []byte, choice uint8) {
		in := responder.In{Port: "vnet3"}
		if choice&elsewhere != 0 {
			in.Port = "vnet4"
		}
		if choice&host != 0 {
			in.HostMAC = hostMAC
		}
		r := fabric(t, responder.Policy{PassIPv6: choice&passIPv6 != 0, AnySender: choice&anySender != 0})
		before := bytes.Clone(frame)
		v := r.Admit(in, frame)
		if !bytes.Equal(frame, before) {
			t.Fatalf("Admit changed the frame\n%x to\n%x", before, frame)
		}
		if v.Reason == 0 || int(v.Reason) >= responder.NumReasons || v.Action == reply || v.Len != 0 {
			t.Fatalf("verdict is %+v", v)
		}
		if v.Action == pass {
			checkPassed(t, r.Registry(), in, v.Reason, frame)
		}
		if v.Reason == responder.Admitted && v.Action == drop {
			t.Error("an admitted frame is dropped")
		}
		if claim := responder.ClaimOf(frame); len(frame) < 14 && claim != (responder.Claim{}) {
			t.Errorf("%d bytes claim %+v", len(frame), claim)
		}
	})
}

// checkPassed searches the bindings for what lets the frame pass.
func checkPassed(t *testing.T, reg *responder.Registry, in responder.In, reason responder.Reason, frame []byte) {
	t.Helper()
	dst, src := responder.MAC(frame[:6]), responder.MAC(frame[6:12])
	mayBe := func(b responder.Binding) bool { return b.MAC == src && (b.Port == "" || b.Port == in.Port) }
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
	if b, ok := reg.Lookup(netip.AddrFrom4([4]byte(frame[26:30]))); !ok || !mayBe(b) {
		t.Fatalf("%s on %s sent from an address with the binding %v, %v", src, in.Port, b, ok)
	}
	isThere := func(b responder.Binding) bool { return b.MAC == dst }
	if !slices.ContainsFunc(slices.Collect(reg.All()), isThere) && (in.HostMAC == zeroMAC || dst != in.HostMAC) {
		t.Fatalf("admitted to %s, which nobody has", dst)
	}
}
