package responder_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

const (
	drop  = responder.Drop
	reply = responder.Reply
	pass  = responder.Pass
)

// ask is the simplest request that is answered: a guest resolves the other guest's address.
var ask = request(guestMAC, guestIP, otherIP)

// answered is the answer to ask.
const answered = `020006de54a8 020007de54a8 0806 0001 0800 06 04 0002
	020007de54a8 0aef0066 020006de54a8 0aef0065
	000000000000000000000000000000000000`

// A decision is a frame and the expected verdict.
type decision struct {
	name   string
	policy responder.Policy
	in     responder.Ingress
	frame  []byte
	action responder.Action
	reason responder.Reason
	answer string // in hexadecimal
}

func run(t *testing.T, tests []decision) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, answer := decide(t, fabric(t, tt.policy), tt.in, tt.frame)
			checkVerdict(t, v, answer, tt.action, tt.reason, tt.answer)
		})
	}
}

func TestNotARP(t *testing.T) {
	etherType := func(n uint16) []byte {
		return ask.with(func(f *arpFrame) { f.etherType = n }).bytes()
	}
	header := ask.bytes()[:12]
	run(t, []decision{
		{name: "IPv4", frame: etherType(0x0800), action: pass, reason: responder.NotARP},
		{name: "IPv6", frame: etherType(0x86dd), action: pass, reason: responder.NotARP},
		{name: "RARP", frame: etherType(0x8035), action: pass, reason: responder.NotARP},
		{name: "802.3 length", frame: etherType(38), action: pass, reason: responder.NotARP},
		{
			name:   "IPv4, nothing but a header",
			frame:  append(bytes.Clone(header), 0x08, 0x00),
			action: pass, reason: responder.NotARP,
		},
		{
			name:   "spanning tree (LLC without SNAP)",
			frame:  append(bytes.Clone(header), unhex(t, "0026 424203 0000000000 0806 0000000000000000000000")...),
			action: pass, reason: responder.NotARP,
		},
		{
			name:   "IPv4 in LLC/SNAP",
			frame:  append(bytes.Clone(header), unhex(t, "0024 aaaa03 000000 0800 45000000")...),
			action: pass, reason: responder.NotARP,
		},
		{
			name:   "LLC/SNAP cut short",
			frame:  append(bytes.Clone(header), unhex(t, "0024 aaaa03 000000 08")...),
			action: pass, reason: responder.NotARP,
		},
		{
			name:   "IPv4 behind a tag",
			frame:  ask.with(func(f *arpFrame) { f.etherType = 0x0800 }).tagged(0x8100_0005).bytes(),
			action: pass, reason: responder.NotARP,
		},
		{
			name:   "IPv4 on a port over its limit",
			in:     responder.Ingress{RateLimited: true},
			frame:  etherType(0x0800),
			action: pass, reason: responder.NotARP,
		},
	})
}

func TestMalformed(t *testing.T) {
	wrong := func(name string, change func(*arpFrame)) decision {
		return decision{name: name, frame: ask.with(change).bytes(), action: drop, reason: responder.Malformed}
	}
	encapsulated := append(ask.bytes()[:12], unhex(t, "0024 aaaa03 000000 0806")...)
	encapsulated = append(encapsulated, ask.bytes()[14:]...)
	tagged := append(ask.bytes()[:12], unhex(t, "8100 0000")...)
	run(t, []decision{
		wrong("hardware type 0", func(f *arpFrame) { f.hardware = 0 }),
		wrong("hardware type 6 (IEEE 802)", func(f *arpFrame) { f.hardware = 6 }),
		wrong("hardware type 256 (byte order)", func(f *arpFrame) { f.hardware = 0x0100 }),
		wrong("protocol type IPv6", func(f *arpFrame) { f.protocol = 0x86dd }),
		wrong("protocol type ARP", func(f *arpFrame) { f.protocol = 0x0806 }),
		wrong("hlen 0", func(f *arpFrame) { f.hlen = 0 }),
		wrong("hlen 8", func(f *arpFrame) { f.hlen = 8 }),
		wrong("hlen 255", func(f *arpFrame) { f.hlen = 255 }),
		wrong("plen 0", func(f *arpFrame) { f.plen = 0 }),
		wrong("plen 16", func(f *arpFrame) { f.plen = 16 }),
		wrong("plen 255", func(f *arpFrame) { f.plen = 255 }),
		{name: "LLC/SNAP", frame: encapsulated, action: drop, reason: responder.Malformed},
		{
			name:   "LLC/SNAP behind a VID 0 tag",
			frame:  append(bytes.Clone(tagged), encapsulated[12:]...),
			action: drop, reason: responder.Malformed,
		},
		{
			name:   "LLC/SNAP on a trunk",
			in:     responder.Ingress{Trunk: true},
			frame:  append(bytes.Clone(tagged), encapsulated[12:]...),
			action: drop, reason: responder.Malformed,
		},
	})
}

// TestTruncated cuts a padded request at every length, and expects an answer as soon as the packet is complete.
func TestTruncated(t *testing.T) {
	tests := []struct {
		name   string
		in     responder.Ingress
		frame  arpFrame
		whole  int // the shortest length at which the packet is complete
		reason responder.Reason
	}{
		{"untagged", responder.Ingress{}, ask, 42, responder.Answered},
		{"tagged, on a trunk", responder.Ingress{Trunk: true}, ask.tagged(0x8100_0005), 46, responder.Answered},
		{"tagged", responder.Ingress{}, ask.tagged(0x8100_0005), 46, responder.UnexpectedVLAN},
		{"stacked", responder.Ingress{}, ask.tagged(0x88a8_0007, 0x8100_0005), 50, responder.UnexpectedVLAN},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frame := append(tt.frame.bytes(), make([]byte, 18)...)
			for n := range len(frame) + 1 {
				v, _ := decide(t, fabric(t, responder.Policy{}), tt.in, frame[:n])
				want := tt.reason
				if n < tt.whole {
					want = responder.Malformed
				}
				if v.Reason != want {
					t.Errorf("%d bytes: %s; want %s", n, v.Reason, want)
				}
			}
		})
	}
}

func TestVLAN(t *testing.T) {
	trunk := responder.Ingress{Trunk: true}
	onTrunk := func(tag string) string {
		return `020006de54a8 020007de54a8` + tag + `0806 0001 0800 06 04 0002
			020007de54a8 0aef0066 020006de54a8 0aef0065
			000000000000000000000000000000000000`
	}
	unexpected := func(name string, in responder.Ingress, tags ...uint32) decision {
		return decision{
			name: name, in: in, frame: ask.tagged(tags...).bytes(),
			action: drop, reason: responder.UnexpectedVLAN,
		}
	}
	expected := func(name string, tag uint32) decision {
		return decision{
			name: name, in: trunk, frame: ask.tagged(tag).bytes(),
			action: reply, reason: responder.Answered, answer: onTrunk(fmt.Sprintf("%08x", tag)),
		}
	}
	run(t, []decision{
		unexpected("802.1Q", responder.Ingress{}, 0x8100_0005),
		unexpected("802.1Q, VID 0", responder.Ingress{}, 0x8100_0000),
		unexpected("802.1Q, priority without VID", responder.Ingress{}, 0x8100_e000),
		unexpected("802.1ad", responder.Ingress{}, 0x88a8_0005),
		unexpected("802.1ad, VID 0", responder.Ingress{}, 0x88a8_0000),
		unexpected("two VID 0 tags", responder.Ingress{}, 0x8100_0000, 0x8100_0000),
		unexpected("802.1Q in 802.1ad", responder.Ingress{}, 0x88a8_0007, 0x8100_0005),
		unexpected("three tags", responder.Ingress{}, 0x88a8_0007, 0x8100_0005, 0x8100_0000),
		unexpected("uplink", responder.Ingress{Kind: responder.Uplink}, 0x8100_0005),
		unexpected("trunk, two tags", trunk, 0x8100_0005, 0x8100_0005),
		unexpected("trunk, 802.1Q in 802.1ad", trunk, 0x88a8_0007, 0x8100_0005),
		unexpected("trunk, three tags", trunk, 0x88a8_0007, 0x8100_0005, 0x8100_0000),
		expected("trunk, 802.1Q", 0x8100_0005),
		expected("trunk, 802.1Q, VID 0", 0x8100_0000),
		expected("trunk, 802.1Q, priority, drop eligible, VID 4094", 0x8100_fffe),
		expected("trunk, 802.1ad", 0x88a8_0007),
		{
			name: "trunk, untagged", in: trunk,
			frame: ask.bytes(), action: reply, reason: responder.Answered, answer: answered,
		},
	})
}

func TestOperation(t *testing.T) {
	for _, operation := range []uint16{0, 3, 4, 8, 9, 10, 0x0100, 0x0201, 0xffff} {
		run(t, []decision{{
			name:   fmt.Sprint(operation),
			frame:  ask.with(func(f *arpFrame) { f.operation = operation }).bytes(),
			action: drop, reason: responder.UnsupportedOperation,
		}})
	}
}

func TestRateLimited(t *testing.T) {
	over := responder.Ingress{RateLimited: true}
	run(t, []decision{
		{name: "request", in: over, frame: ask.bytes(), action: drop, reason: responder.RateLimited},
		{
			name:   "reply on an uplink",
			in:     responder.Ingress{RateLimited: true, Kind: responder.Uplink},
			frame:  ask.with(func(f *arpFrame) { f.operation = 2 }).bytes(),
			action: drop, reason: responder.RateLimited,
		},
	})
}

func TestSenderMAC(t *testing.T) {
	from := func(m registry.MAC) []byte { return request(m, guestIP, otherIP).bytes() }
	probe := func(m registry.MAC) []byte { return request(m, noIP, otherIP).bytes() }
	run(t, []decision{
		{name: "zero", frame: from(zeroMAC), action: drop, reason: responder.InvalidSenderMAC},
		{name: "broadcast", frame: from(broadcast), action: drop, reason: responder.InvalidSenderMAC},
		{
			name:  "multicast",
			frame: from(mac("01:00:5e:00:00:01")), action: drop, reason: responder.InvalidSenderMAC,
		},
		{name: "a probe by zero", frame: probe(zeroMAC), action: drop, reason: responder.InvalidSenderMAC},
		{name: "a probe by broadcast", frame: probe(broadcast), action: drop, reason: responder.InvalidSenderMAC},
		{
			name:  "a probe by multicast",
			frame: probe(mac("01:00:5e:00:00:01")), action: drop, reason: responder.InvalidSenderMAC,
		},
		{
			name:   "Ethernet source of another guest",
			frame:  ask.with(func(f *arpFrame) { f.src = otherMAC }).bytes(),
			action: drop, reason: responder.SenderMACMismatch,
		},
		{
			name:   "another guest's SenderHardwareAddr",
			frame:  ask.with(func(f *arpFrame) { f.senderMAC = otherMAC }).bytes(),
			action: drop, reason: responder.SenderMACMismatch,
		},
		{
			name:   "last byte differs",
			frame:  ask.with(func(f *arpFrame) { f.src[5]++ }).bytes(),
			action: drop, reason: responder.SenderMACMismatch,
		},
		{
			name:   "mismatch on an uplink",
			in:     responder.Ingress{Kind: responder.Uplink},
			frame:  ask.with(func(f *arpFrame) { f.src = otherMAC }).bytes(),
			action: drop, reason: responder.SenderMACMismatch,
		},
	})
}

func TestSenderIP(t *testing.T) {
	invalid := []string{
		"127.0.0.0", "127.0.0.1", "127.255.255.255", "224.0.0.0", "224.0.0.1", "239.255.255.255",
		"240.0.0.0", "255.255.255.254", "255.255.255.255",
	}
	unregistered := []string{
		"10.239.0.50", "10.239.0.0", "10.239.0.255", "10.239.0.127", "10.239.0.192", "0.0.0.1", "0.255.255.255",
		"126.255.255.255", "128.0.0.0", "223.255.255.255",
	}
	var tests []decision
	for _, s := range invalid {
		frame := request(guestMAC, ip(s), otherIP).bytes()
		tests = append(tests,
			decision{name: s, frame: frame, action: drop, reason: responder.InvalidSenderIP},
			decision{
				name: s + " and any sender", policy: responder.Policy{AnySender: true}, frame: frame,
				action: drop, reason: responder.InvalidSenderIP,
			},
			decision{
				name: s + " on an uplink", in: responder.Ingress{Kind: responder.Uplink}, frame: frame,
				action: drop, reason: responder.InvalidSenderIP,
			})
	}
	for _, s := range unregistered {
		frame := request(guestMAC, ip(s), otherIP).bytes()
		tests = append(tests, decision{name: s, frame: frame, action: drop, reason: responder.UnregisteredSender})
	}
	run(t, tests)
}

func TestSenderBinding(t *testing.T) {
	anySender := responder.Policy{AnySender: true}
	uplink := responder.Ingress{Kind: responder.Uplink}
	spoof := request(guestMAC, gatewayIP, otherIP)
	stranger := request(strangerMAC, strangerIP, otherIP)
	tied := request(mac("02:00:08:de:54:a8"), ip("10.239.0.103"), otherIP)
	inRange := request(mac("02:00:0a:00:00:01"), ip("10.239.0.150"), otherIP)
	fakeRange := request(guestMAC, ip("10.239.0.150"), otherIP)

	answerTo := func(senderMAC, senderIP string) string {
		return senderMAC + `020007de54a8 0806 0001 0800 06 04 0002
			020007de54a8 0aef0066` + senderMAC + senderIP + `000000000000000000000000000000000000`
	}
	toSpoof := answerTo("020006de54a8", "0aef0001")
	toStranger := answerTo("020099000099", "0aef0032")
	toTied := answerTo("020008de54a8", "0aef0067")
	toRange := answerTo("02000a000001", "0aef0096")

	run(t, []decision{
		{name: "no binding", frame: stranger.bytes(), action: drop, reason: responder.UnregisteredSender},
		{
			name: "no binding, any sender", policy: anySender, frame: stranger.bytes(),
			action: reply, reason: responder.Answered, answer: toStranger,
		},
		{
			name: "no binding, on an uplink", in: uplink, frame: stranger.bytes(),
			action: reply, reason: responder.Answered, answer: toStranger,
		},
		{name: "another's address", frame: spoof.bytes(), action: drop, reason: responder.SpoofedSender},
		{
			name: "another's address, any sender", policy: anySender, frame: spoof.bytes(),
			action: reply, reason: responder.Answered, answer: toSpoof,
		},
		{
			name: "another's address, on an uplink", in: uplink, frame: spoof.bytes(),
			action: reply, reason: responder.Answered, answer: toSpoof,
		},
		{
			name:  "an address of another's range",
			frame: fakeRange.bytes(), action: drop, reason: responder.SpoofedSender,
		},
		{
			name: "an address of its own range", frame: inRange.bytes(),
			action: reply, reason: responder.Answered, answer: toRange,
		},
		{
			name: "its own port", in: responder.Ingress{Port: "vnet3"}, frame: tied.bytes(),
			action: reply, reason: responder.Answered, answer: toTied,
		},
		{
			name: "another port", in: responder.Ingress{Port: "vnet4"}, frame: tied.bytes(),
			action: drop, reason: responder.SpoofedSender,
		},
		{
			name: "a port whose name begins alike", in: responder.Ingress{Port: "vnet33"}, frame: tied.bytes(),
			action: drop, reason: responder.SpoofedSender,
		},
		{name: "a port without a name", frame: tied.bytes(), action: drop, reason: responder.SpoofedSender},
		{
			name:   "another port, any sender",
			policy: anySender, in: responder.Ingress{Port: "vnet4"}, frame: tied.bytes(),
			action: reply, reason: responder.Answered, answer: toTied,
		},
		{
			name: "any port where the binding names none", in: responder.Ingress{Port: "vnet4"}, frame: ask.bytes(),
			action: reply, reason: responder.Answered, answer: answered,
		},
	})
}

// TestHostSender sends requests from the host's MAC. Where the host's own stack sends, they may come from any address.
func TestHostSender(t *testing.T) {
	hostPort := responder.Ingress{Port: "br0", Kind: responder.Host, CarriesHost: true, HostMAC: strangerMAC}
	tap := responder.Ingress{Port: "arp0", CarriesHost: true, HostMAC: strangerMAC}
	guestPort := responder.Ingress{Port: "vnet2", HostMAC: strangerMAC}
	sidecar := responder.Ingress{Port: "eth0", Kind: responder.Host}
	unknown := responder.Ingress{Port: "br0", Kind: responder.Host, CarriesHost: true}
	unbound := request(strangerMAC, strangerIP, otherIP).bytes()
	bound := request(strangerMAC, guestIP, otherIP).bytes()
	macvlan := request(mac("02:00:99:00:00:98"), strangerIP, otherIP).bytes()
	toHost := func(senderIP string) string {
		return `020099000099 020007de54a8 0806 0001 0800 06 04 0002
			020007de54a8 0aef0066 020099000099` + senderIP + `000000000000000000000000000000000000`
	}
	answer := func(name string, in responder.Ingress, frame []byte, to string) decision {
		return decision{name: name, in: in, frame: frame, action: reply, reason: responder.Answered, answer: to}
	}
	refuse := func(name string, in responder.Ingress, frame []byte, reason responder.Reason) decision {
		return decision{name: name, in: in, frame: frame, action: drop, reason: reason}
	}
	run(t, []decision{
		answer("an unregistered address", hostPort, unbound, toHost("0aef0032")),
		answer("a guest's address", hostPort, bound, toHost("0aef0065")),
		answer("an unregistered address, at a TAP", tap, unbound, toHost("0aef0032")),
		refuse("an address that no host has", hostPort, request(strangerMAC, ip("127.0.0.1"), otherIP).bytes(), responder.InvalidSenderIP),
		refuse("an address of its own that it announces", hostPort, request(strangerMAC, strangerIP, strangerIP).bytes(), responder.Announcement),
		refuse("an interface on the bridge with another MAC", hostPort, macvlan, responder.UnregisteredSender),
		refuse("a guest with another MAC, at a TAP", tap, macvlan, responder.UnregisteredSender),
		refuse("a guest port", guestPort, unbound, responder.UnregisteredSender),
		refuse("a guest port, with a guest's address", guestPort, bound, responder.SpoofedSender),
		refuse("a sidecar's guest", sidecar, unbound, responder.UnregisteredSender),
		refuse("no MAC, because there is no interface", unknown, request(guestMAC, strangerIP, otherIP).bytes(), responder.UnregisteredSender),
	})
}

func TestReply(t *testing.T) {
	solicited := ask.with(func(f *arpFrame) { f.operation, f.dst, f.targetMAC = 2, otherMAC, otherMAC })
	gratuitous := ask.with(func(f *arpFrame) { f.operation, f.targetIP = 2, guestIP })
	stranger := request(strangerMAC, strangerIP, otherIP).with(func(f *arpFrame) { f.operation = 2 })
	uplink := responder.Ingress{Kind: responder.Uplink}
	run(t, []decision{
		{name: "solicited", frame: solicited.bytes(), action: drop, reason: responder.GuestReply},
		{name: "gratuitous", frame: gratuitous.bytes(), action: drop, reason: responder.GuestReply},
		{
			name: "of any sender", policy: responder.Policy{AnySender: true}, frame: stranger.bytes(),
			action: drop, reason: responder.GuestReply,
		},
		{name: "on an uplink", in: uplink, frame: solicited.bytes(), action: pass, reason: responder.GuestReply},
		{
			name: "of a stranger on an uplink", in: uplink,
			frame: stranger.bytes(), action: pass, reason: responder.GuestReply,
		},
	})
}

func TestAnnouncement(t *testing.T) {
	own := request(guestMAC, guestIP, guestIP)
	toAll := own.with(func(f *arpFrame) { f.targetMAC = broadcast })
	unallocated := request(strangerMAC, strangerIP, strangerIP)
	run(t, []decision{
		{name: "target MAC zero", frame: own.bytes(), action: drop, reason: responder.Announcement},
		{name: "target MAC broadcast", frame: toAll.bytes(), action: drop, reason: responder.Announcement},
		{
			name: "on an uplink", in: responder.Ingress{Kind: responder.Uplink}, frame: own.bytes(),
			action: drop, reason: responder.Announcement,
		},
		{
			name: "of an address without a binding", policy: responder.Policy{AnySender: true},
			frame: unallocated.bytes(), action: drop, reason: responder.Announcement,
		},
		{
			name: "of the host's address", policy: responder.Policy{AnySender: true, Host: []netip.Addr{strangerIP}},
			frame: unallocated.bytes(), action: drop, reason: responder.Announcement,
		},
		{
			name: "of 0.0.0.0", policy: responder.Policy{DenyMAC: denyMAC},
			frame: request(guestMAC, noIP, noIP).bytes(), action: drop, reason: responder.Announcement,
		},
	})
}

func TestHostAddress(t *testing.T) {
	host := func(addrs ...string) (p responder.Policy) {
		for _, s := range addrs {
			p.Host = append(p.Host, ip(s))
		}
		return p
	}
	unbound := request(guestMAC, guestIP, strangerIP).bytes()
	probe := request(guestMAC, noIP, strangerIP).bytes()
	denied := host("10.239.0.50")
	denied.DenyMAC = denyMAC
	run(t, []decision{
		{
			name: "not bound", policy: host("10.239.0.50"),
			frame: unbound, action: pass, reason: responder.HostAddress,
		},
		{
			name: "bound", policy: host("10.239.0.102"),
			frame: ask.bytes(), action: pass, reason: responder.HostAddress,
		},
		{
			name: "one of several", policy: host("10.0.0.1", "10.239.0.50"),
			frame: unbound, action: pass, reason: responder.HostAddress,
		},
		{
			name: "IPv4 in IPv6", policy: host("::ffff:10.239.0.50"),
			frame: unbound, action: pass, reason: responder.HostAddress,
		},
		{name: "probe", policy: denied, frame: probe, action: pass, reason: responder.HostAddress},
		{
			name: "IPv6 only", policy: host("fe80::1"),
			frame: unbound, action: drop, reason: responder.UnknownTarget,
		},
		{
			name: "another", policy: host("10.239.0.51"),
			frame: unbound, action: drop, reason: responder.UnknownTarget,
		},
		{
			name:   "sender is spoofed",
			policy: host("10.239.0.50"), frame: request(otherMAC, guestIP, strangerIP).bytes(),
			action: drop, reason: responder.SpoofedSender,
		},
	})
}

func TestUnknownTarget(t *testing.T) {
	deny := responder.Policy{DenyMAC: denyMAC}
	probe := request(guestMAC, noIP, strangerIP).bytes()
	denied := `020006de54a8 02aaaaaaaaaa 0806 0001 0800 06 04 0002
		02aaaaaaaaaa 0aef0032 020006de54a8 00000000
		000000000000000000000000000000000000`
	unknown := []string{
		"10.239.0.50", "10.239.0.0", "10.239.0.127", "10.239.0.192", "10.239.0.255", "10.238.0.101", "0.0.0.0",
		"0.0.0.1", "127.0.0.1", "224.0.0.1", "255.255.255.255",
	}
	tests := []decision{
		{name: "probe", frame: probe, action: drop, reason: responder.UnknownTarget},
		{
			name: "probe, denied", policy: deny,
			frame: probe, action: reply, reason: responder.UnallocatedProbe, answer: denied,
		},
		{
			name: "probe, denied, by an uplink", policy: deny, in: responder.Ingress{Kind: responder.Uplink},
			frame: probe, action: drop, reason: responder.UnknownTarget,
		},
	}
	for _, s := range unknown {
		frame := request(guestMAC, guestIP, ip(s)).bytes()
		tests = append(tests,
			decision{name: s, frame: frame, action: drop, reason: responder.UnknownTarget},
			decision{
				name: s + ", probes denied", policy: deny, frame: frame,
				action: drop, reason: responder.UnknownTarget,
			})
	}
	run(t, tests)
}

// TestUnknownTargetOutside asks for addresses without a binding where hosts behind the uplinks may have them.
func TestUnknownTargetOutside(t *testing.T) {
	outside := responder.Policy{UnknownToUplinks: true}
	anySender := responder.Policy{UnknownToUplinks: true, AnySender: true}
	deny := responder.Policy{UnknownToUplinks: true, DenyMAC: denyMAC}
	vnet2 := responder.Ingress{Port: "vnet2"}
	hostPort := responder.Ingress{Port: "br0", Kind: responder.Host, CarriesHost: true, HostMAC: strangerMAC}
	unknown := request(guestMAC, guestIP, strangerIP)
	denied := `020006de54a8 02aaaaaaaaaa 0806 0001 0800 06 04 0002
		02aaaaaaaaaa 0aef0032 020006de54a8 00000000
		000000000000000000000000000000000000`
	leaves := func(name string, policy responder.Policy, in responder.Ingress, f arpFrame) decision {
		return decision{name: name, policy: policy, in: in, frame: f.bytes(), action: pass, reason: responder.UnknownTarget}
	}
	stays := func(name string, policy responder.Policy, in responder.Ingress, f arpFrame, reason responder.Reason) decision {
		return decision{name: name, policy: policy, in: in, frame: f.bytes(), action: drop, reason: reason}
	}
	run(t, []decision{
		leaves("a request", outside, vnet2, unknown),
		leaves("a unicast request", outside, vnet2, unknown.with(func(f *arpFrame) { f.dst = strangerMAC })),
		leaves("a probe", outside, vnet2, request(guestMAC, noIP, strangerIP)),
		leaves("a request of the host", outside, hostPort, request(strangerMAC, ip("192.0.2.1"), strangerIP)),
		leaves("with any sender, of the owner", anySender, vnet2, unknown),
		stays("without the policy", responder.Policy{}, vnet2, unknown, responder.UnknownTarget),
		stays("by an uplink", outside, responder.Ingress{Kind: responder.Uplink}, unknown, responder.UnknownTarget),
		stays("an unregistered sender", outside, vnet2, request(strangerMAC, ip("10.239.0.51"), strangerIP), responder.UnregisteredSender),
		stays("a spoofed sender", outside, vnet2, request(guestMAC, otherIP, strangerIP), responder.SpoofedSender),
		stays("with any sender, an unregistered one", anySender, vnet2, request(guestMAC, ip("10.239.0.51"), strangerIP), responder.UnknownTarget),
		stays("with any sender, a spoofed one", anySender, vnet2, request(guestMAC, otherIP, strangerIP), responder.UnknownTarget),
		stays("a probe of an unregistered MAC", outside, vnet2, request(strangerMAC, noIP, strangerIP), responder.UnknownTarget),
		stays("a probe of a MAC of another port", outside, vnet2, request(mac("02:00:08:de:54:a8"), noIP, strangerIP), responder.UnknownTarget),
		stays("a reply", outside, vnet2, unknown.with(func(f *arpFrame) { f.operation = 2 }), responder.GuestReply),
		stays("an announcement", anySender, vnet2, request(guestMAC, strangerIP, strangerIP), responder.Announcement),
		stays("for an address of no host", outside, vnet2, request(guestMAC, guestIP, broadcastIP), responder.UnknownTarget),
		stays("for 0.0.0.0", outside, vnet2, request(guestMAC, guestIP, noIP), responder.UnknownTarget),
		{
			name: "a probe, denied", policy: deny, in: vnet2, frame: request(guestMAC, noIP, strangerIP).bytes(),
			action: reply, reason: responder.UnallocatedProbe, answer: denied,
		},
		{
			name: "an address with a binding", policy: outside, in: vnet2, frame: ask.bytes(),
			action: reply, reason: responder.Answered, answer: answered,
		},
	})
}

func TestProbe(t *testing.T) {
	self := request(guestMAC, noIP, guestIP)
	conflict := request(guestMAC, noIP, otherIP)
	toSelf := `020006de54a8 020006de54a8 0806 0001 0800 06 04 0002
		020006de54a8 0aef0065 020006de54a8 00000000
		000000000000000000000000000000000000`
	toConflict := `020006de54a8 020007de54a8 0806 0001 0800 06 04 0002
		020007de54a8 0aef0066 020006de54a8 00000000
		000000000000000000000000000000000000`
	ignore := responder.Policy{IgnoreSelfProbe: true}
	deny := responder.Policy{DenyMAC: denyMAC}
	tagged := self.tagged(0x8100_0005)
	run(t, []decision{
		{name: "self", frame: self.bytes(), action: reply, reason: responder.SelfProbe, answer: toSelf},
		{
			name: "self, unallocated ones denied", policy: deny,
			frame: self.bytes(), action: reply, reason: responder.SelfProbe, answer: toSelf,
		},
		{name: "self, ignored", policy: ignore, frame: self.bytes(), action: drop, reason: responder.SelfProbe},
		{
			name: "self, on a trunk", in: responder.Ingress{Trunk: true}, frame: tagged.bytes(),
			action: reply, reason: responder.SelfProbe,
			answer: `020006de54a8 020006de54a8 8100 0005 0806 0001 0800 06 04 0002
				020006de54a8 0aef0065 020006de54a8 00000000
				000000000000000000000000000000000000`,
		},
		{
			name:  "conflict",
			frame: conflict.bytes(), action: reply, reason: responder.ConflictProbe, answer: toConflict,
		},
		{
			name: "conflict, self ignored", policy: ignore,
			frame: conflict.bytes(), action: reply, reason: responder.ConflictProbe, answer: toConflict,
		},
		{
			name: "conflict, unallocated ones denied", policy: deny,
			frame: conflict.bytes(), action: reply, reason: responder.ConflictProbe, answer: toConflict,
		},
		{
			name: "conflict, by a stranger", frame: request(strangerMAC, noIP, otherIP).bytes(),
			action: reply, reason: responder.ConflictProbe,
			answer: `020099000099 020007de54a8 0806 0001 0800 06 04 0002
				020007de54a8 0aef0066 020099000099 00000000
				000000000000000000000000000000000000`,
		},
	})
}

func TestAnswered(t *testing.T) {
	change := func(change func(*arpFrame)) []byte { return ask.with(change).bytes() }
	same := func(name string, frame []byte) decision {
		return decision{name: name, frame: frame, action: reply, reason: responder.Answered, answer: answered}
	}
	run(t, []decision{
		same("broadcast", ask.bytes()),
		same("unicast to the owner", change(func(f *arpFrame) { f.dst, f.targetMAC = otherMAC, otherMAC })),
		same("unicast to an unknown MAC", change(func(f *arpFrame) { f.dst = strangerMAC })),
		same("target MAC broadcast", change(func(f *arpFrame) { f.targetMAC = broadcast })),
		same("target MAC of a third", change(func(f *arpFrame) { f.targetMAC = gatewayMAC })),
		same("padded with zeros", change(func(f *arpFrame) { f.trailer = make([]byte, 18) })),
		same("trailer is not echoed", change(func(f *arpFrame) { f.trailer = []byte("memory of the sender") })),
		same("1514 bytes", change(func(f *arpFrame) { f.trailer = bytes.Repeat([]byte{0xff}, 1472) })),
		same("9014 bytes", change(func(f *arpFrame) { f.trailer = bytes.Repeat([]byte{0xff}, 8972) })),
		{
			name: "on a port that may have a tag and an uplink", in: responder.Ingress{Trunk: true, Kind: responder.Uplink},
			frame: ask.bytes(), action: reply, reason: responder.Answered, answer: answered,
		},
		{
			name: "an address in a range", frame: request(guestMAC, guestIP, ip("10.239.0.191")).bytes(),
			action: reply, reason: responder.Answered,
			answer: `020006de54a8 02000a000001 0806 0001 0800 06 04 0002
				02000a000001 0aef00bf 020006de54a8 0aef0065
				000000000000000000000000000000000000`,
		},
		{
			name:   "an address of a guest behind another port",
			frame:  request(guestMAC, guestIP, ip("10.239.0.103")).bytes(),
			action: reply, reason: responder.Answered,
			answer: `020006de54a8 020008de54a8 0806 0001 0800 06 04 0002
				020008de54a8 0aef0067 020006de54a8 0aef0065
				000000000000000000000000000000000000`,
		},
		{
			name: "another address of its own",
			frame: request(mac("02:00:0a:00:00:01"), ip("10.239.0.128"),
				ip("10.239.0.129")).bytes(),
			action: reply, reason: responder.Answered,
			answer: `02000a000001 02000a000001 0806 0001 0800 06 04 0002
				02000a000001 0aef0081 02000a000001 0aef0080
				000000000000000000000000000000000000`,
		},
	})
}

// TestOwner sends requests on a port where only one MAC's addresses are answered.
func TestOwner(t *testing.T) {
	deny := responder.Policy{DenyMAC: denyMAC}
	others, guests := responder.Ingress{Owner: otherMAC}, responder.Ingress{Owner: guestMAC}
	probe := request(strangerMAC, noIP, otherIP)
	run(t, []decision{
		{name: "its own", in: others, frame: ask.bytes(), action: reply, reason: responder.Answered, answer: answered},
		{name: "another's", in: guests, frame: ask.bytes(), action: drop, reason: responder.UnknownTarget},
		{
			name: "probe of its own", in: others, frame: probe.bytes(), action: reply, reason: responder.ConflictProbe,
			answer: `020099000099 020007de54a8 0806 0001 0800 06 04 0002
				020007de54a8 0aef0066 020099000099 00000000
				000000000000000000000000000000000000`,
		},
		{name: "probe of another's", in: guests, frame: probe.bytes(), action: drop, reason: responder.UnknownTarget},
		{
			name: "probe of an unbound address, denied elsewhere", policy: deny, in: others,
			frame: request(guestMAC, noIP, strangerIP).bytes(), action: drop, reason: responder.UnknownTarget,
		},
		{
			name: "unregistered sender", in: others, frame: request(strangerMAC, strangerIP, otherIP).bytes(),
			action: drop, reason: responder.UnregisteredSender,
		},
	})
}

// A flaw changes a request that would be answered so that it matches one row of the decision table.
type flaw struct {
	reason responder.Reason
	of     string // the field it changes; two flaws of one field exclude each other
	change func(*arpFrame, *responder.Ingress)
}

// flaws are in the order of the table's rows.
var flaws = []flaw{
	{responder.NotARP, "EtherType", func(f *arpFrame, _ *responder.Ingress) { f.etherType = 0x0800 }},
	{responder.Malformed, "hardware type", func(f *arpFrame, _ *responder.Ingress) { f.hardware = 6 }},
	{responder.UnexpectedVLAN, "tags", func(f *arpFrame, _ *responder.Ingress) { f.tags = []uint32{0x8100_0000} }},
	{responder.UnsupportedOperation, "operation", func(f *arpFrame, _ *responder.Ingress) { f.operation = 3 }},
	{responder.RateLimited, "rate", func(_ *arpFrame, in *responder.Ingress) { in.RateLimited = true }},
	{responder.InvalidSenderMAC, "sender MAC", func(f *arpFrame, _ *responder.Ingress) { f.senderMAC = broadcast }},
	{responder.SenderMACMismatch, "source", func(f *arpFrame, _ *responder.Ingress) { f.src = otherMAC }},
	{responder.InvalidSenderIP, "sender IP", func(f *arpFrame, _ *responder.Ingress) { f.senderIP = ip("224.0.0.1") }},
	{responder.UnregisteredSender, "sender IP", func(f *arpFrame, _ *responder.Ingress) { f.senderIP = strangerIP }},
	{responder.SpoofedSender, "port", func(_ *arpFrame, in *responder.Ingress) { in.Port = "vnet4" }},
	{responder.GuestReply, "operation", func(f *arpFrame, _ *responder.Ingress) { f.operation = 2 }},
	{responder.Announcement, "target IP", func(f *arpFrame, _ *responder.Ingress) { f.targetIP = f.senderIP }},
	{responder.HostAddress, "target IP", func(f *arpFrame, _ *responder.Ingress) { f.targetIP = ip("10.239.0.60") }},
	{responder.UnknownTarget, "target IP", func(f *arpFrame, _ *responder.Ingress) { f.targetIP = strangerIP }},
}

// TestOrder combines two flaws, and expects the verdict of the earlier row.
func TestOrder(t *testing.T) {
	n := fabric(t, responder.Policy{Host: []netip.Addr{ip("10.239.0.60")}})
	for i, earlier := range flaws {
		for _, later := range flaws[i:] {
			if earlier.of == later.of && earlier.reason != later.reason {
				continue
			}
			t.Run(fmt.Sprintf("%s before %s", earlier.reason, later.reason), func(t *testing.T) {
				in := responder.Ingress{Port: "vnet3"}
				frame := request(mac("02:00:08:de:54:a8"), ip("10.239.0.103"), otherIP)
				earlier.change(&frame, &in)
				later.change(&frame, &in)
				v, _ := decide(t, n, in, frame.bytes())
				if v.Reason != earlier.reason {
					t.Errorf("verdict is %s, %s; want %s", v.Action, v.Reason, earlier.reason)
				}
			})
		}
	}
}
