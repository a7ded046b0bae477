package responder

import (
	"encoding/binary"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// IP protocol numbers (RFC 5237).
const (
	protocolICMP = 1
	protocolTCP  = 6
	protocolUDP  = 17
)

// An ipPacket is an IPv4 packet.
type ipPacket struct {
	protocol  byte
	src, dst  registry.IPv4
	headerLen int
	length    int    // bytes after the header, by the header's total length; negative if that is too small
	payload   []byte // the bytes after the header that are in the frame, padding included

	isFragment    bool
	laterFragment bool // a fragment other than the first, which has no ports
}

// parse reads the bytes after an Ethernet header into p. It reports whether they begin with a complete IPv4 header.
//
// The layout (RFC 791, 3.1), in bytes: version and header length in words 1, type of service 1, total length 2,
// identification 2, flags and fragment offset 2, time to live 1, protocol 1, checksum 2, source 4, destination 4,
// options.
func (p *ipPacket) parse(b []byte) bool {
	const shortest, offset, moreFragments = 20, 0x1fff, 0x2000
	if len(b) < shortest || b[0]>>4 != 4 {
		return false
	}
	n := int(b[0]&0xf) * 4
	if n < shortest || len(b) < n {
		return false
	}
	p.protocol = b[9]
	p.src, p.dst = registry.IPv4(binary.BigEndian.Uint32(b[12:])), registry.IPv4(binary.BigEndian.Uint32(b[16:]))
	fragment := binary.BigEndian.Uint16(b[6:])
	p.isFragment, p.laterFragment = fragment&(offset|moreFragments) != 0, fragment&offset != 0
	p.headerLen = n
	p.length = int(binary.BigEndian.Uint16(b[2:])) - n
	p.payload = b[n:]
	return true
}

// cutAfter is the length in bytes after which a frame that is not ARP may be cut off.
const cutAfter = 256

// isWhole reports whether the frame, whose Ethernet header has a length, has as many bytes as the packet says.
func (p *ipPacket) isWhole(ethernetHeader int) bool {
	isCut := ethernetHeader+p.headerLen+len(p.payload) >= cutAfter
	return p.length >= 0 && (p.length <= len(p.payload) || isCut)
}

// ports returns the ports of a TCP or UDP packet. ok is false if the packet has none.
func (p *ipPacket) ports() (src, dst uint16, ok bool) {
	if p.laterFragment || p.protocol != protocolTCP && p.protocol != protocolUDP || len(p.payload) < 4 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint16(p.payload), binary.BigEndian.Uint16(p.payload[2:]), true
}
