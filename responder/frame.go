package responder

import (
	"encoding/binary"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

const (
	headerLen = 14 // Ethernet II: destination 6, source 6, EtherType 2
	tagLen    = 4  // IEEE 802.1Q: TPID 2, TCI 2
	packetLen = 28 // RFC 826 for IPv4 over Ethernet

	// MinFrameLen is the shortest Ethernet frame without its checksum, in bytes: 60. Every answer is
	// padded to it with zeros.
	MinFrameLen = 60

	// MaxReplyLen is the longest answer Handle writes, in bytes: a frame of MinFrameLen with one tag.
	MaxReplyLen = MinFrameLen + tagLen
)

const (
	hardwareEthernet = 1 // RFC 826, ar$hrd
	firstEtherType   = 0x0600
)

// A packet is an ARP packet for IPv4 over Ethernet, with what is around it.
type packet struct {
	src        MAC // of the Ethernet header
	tags       int
	tag        [tagLen]byte // the outermost, where tags > 0
	operation  arp.Operation
	senderMAC  MAC
	senderIP   ipv4
	targetMAC  MAC
	targetIP   ipv4
	trailerLen int // bytes after the packet: the padding of a short frame
}

// parse reads frame into p. It returns 0 for a whole ARP packet, else NotARP or Malformed; p is
// meaningful only with 0.
//
// The layout (RFC 826), in bytes after the Ethernet header and its tags: hardware type 2, protocol type
// 2, hardware length 1, protocol length 1, operation 2, sender MAC 6, sender IP 4, target MAC 6, target
// IP 4.
func (p *packet) parse(frame []byte) Reason {
	tags, at, ok := skipTags(frame)
	if !ok {
		return Malformed
	}
	body := frame[at+2:]
	if kind := binary.BigEndian.Uint16(frame[at:]); kind != uint16(ethernet.EtherTypeARP) {
		if kind < firstEtherType && isSNAPEncapsulatedARP(body) {
			return Malformed
		}
		return NotARP
	}
	if len(body) < packetLen ||
		binary.BigEndian.Uint16(body[0:]) != hardwareEthernet ||
		binary.BigEndian.Uint16(body[2:]) != uint16(ethernet.EtherTypeIPv4) ||
		body[4] != 6 || body[5] != 4 {
		return Malformed
	}

	p.src = MAC(frame[6:12])
	p.tags = tags
	if tags > 0 {
		p.tag = [tagLen]byte(frame[12:16])
	}
	p.operation = arp.Operation(binary.BigEndian.Uint16(body[6:]))
	p.senderMAC, p.senderIP = MAC(body[8:14]), ipv4(binary.BigEndian.Uint32(body[14:]))
	p.targetMAC, p.targetIP = MAC(body[18:24]), ipv4(binary.BigEndian.Uint32(body[24:]))
	p.trailerLen = len(body) - packetLen
	return 0
}

// skipTags returns how many VLAN tags a frame has, and where its EtherType is behind them. It reports whether
// the frame reaches that far.
func skipTags(frame []byte) (tags, at int, ok bool) {
	for at = headerLen - 2; len(frame) >= at+2; at += tagLen {
		if !isTag(frame[at:]) {
			return tags, at, true
		}
		tags++
	}
	return 0, 0, false
}

// isTag reports whether the EtherType that b starts with announces a VLAN tag.
func isTag(b []byte) bool {
	t := ethernet.EtherType(binary.BigEndian.Uint16(b))
	return t == ethernet.EtherTypeVLAN || t == ethernet.EtherTypeServiceVLAN
}

// isSNAPEncapsulatedARP reports whether an 802.3 frame's body carries ARP behind an LLC/SNAP header
// (RFC 1042): some stacks take it for the same thing, so it must not pass for something else.
func isSNAPEncapsulatedARP(body []byte) bool {
	return len(body) >= 8 && body[0] == 0xaa && body[1] == 0xaa && body[2] == 0x03 &&
		binary.BigEndian.Uint16(body[6:]) == uint16(ethernet.EtherTypeARP)
}

// writeReply writes the answer to request p into out: owner has the address that p asks for. It returns
// the length. The answer carries the request's tag, where that has one.
func (p *packet) writeReply(out []byte, owner MAC) int {
	n := MinFrameLen + p.tags*tagLen
	out = out[:n]
	clear(out)
	copy(out[0:], p.src[:])
	copy(out[6:], owner[:])
	at := 12
	if p.tags > 0 {
		at += copy(out[at:], p.tag[:])
	}
	binary.BigEndian.PutUint16(out[at:], uint16(ethernet.EtherTypeARP))
	body := out[at+2:]
	binary.BigEndian.PutUint16(body[0:], hardwareEthernet)
	binary.BigEndian.PutUint16(body[2:], uint16(ethernet.EtherTypeIPv4))
	body[4], body[5] = 6, 4
	binary.BigEndian.PutUint16(body[6:], uint16(arp.OperationReply))
	copy(body[8:], owner[:])
	binary.BigEndian.PutUint32(body[14:], uint32(p.targetIP))
	copy(body[18:], p.senderMAC[:])
	binary.BigEndian.PutUint32(body[24:], uint32(p.senderIP))
	return n
}

// WriteAnnouncement writes an ARP announcement into out (RFC 5227, 3): a broadcast request from addr for
// addr, in 60 bytes. Hosts that know another MAC for addr take this one. It returns the length. out must
// have room for [MinFrameLen] bytes, and addr must be IPv4.
func WriteAnnouncement(out []byte, addr netip.Addr, mac MAC) int {
	p := packet{src: broadcast, senderIP: toIPv4(addr), targetIP: toIPv4(addr)}
	n := p.writeReply(out, mac)
	binary.BigEndian.PutUint16(out[operationStart:], uint16(arp.OperationRequest))
	return n
}

// broadcast is the address of all stations.
var broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// operationStart is where the operation stands in an untagged frame.
const operationStart = headerLen + 6

// ipv4 is an IPv4 address as a number: what the tables of a registry are made of.
type ipv4 uint32

func (ip ipv4) addr() netip.Addr {
	return netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)})
}

func (ip ipv4) String() string { return ip.addr().String() }

// toIPv4 takes an address that is known to be IPv4.
func toIPv4(addr netip.Addr) ipv4 {
	b := addr.As4()
	return ipv4(binary.BigEndian.Uint32(b[:]))
}

// cannotSend reports whether no station may have ip as its own: multicast, loopback, or in 240.0.0.0/4,
// which holds the limited broadcast address too (RFC 1122, 3.2.1.3; RFC 5735).
func (ip ipv4) cannotSend() bool {
	return ip>>24 == 127 || ip>>28 >= 0xe
}
