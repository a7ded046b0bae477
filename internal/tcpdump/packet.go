package tcpdump

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// Packet is what a line says: a frame, of which the MACs may still be open.
type Packet struct {
	// From and To are the source and the destination of the Ethernet header; nil where the line does not say.
	From, To *responder.MAC

	// Sender and Target are ARP's SenderIP and TargetIP, or IPv4's source and destination. They are the zero Addr
	// of a line that has none.
	Sender, Target netip.Addr

	kind      ethernet.EtherType
	tags      []uint16 // VLAN IDs, the outermost first
	body      []byte   // what comes after the EtherType
	fromGuest bool     // body is ARP whose SenderHardwareAddr is From
}

// IsARP reports whether p is an ARP packet.
func (p *Packet) IsARP() bool { return p.kind == ethernet.EtherTypeARP }

// Frame returns the whole Ethernet frame, without padding or checksum. A MAC that is nil is zero in it.
func (p *Packet) Frame() []byte {
	from, to := orZero(p.From), orZero(p.To)
	frame := slices.Concat(to[:], from[:])
	for _, id := range p.tags {
		frame = binary.BigEndian.AppendUint16(frame, uint16(ethernet.EtherTypeVLAN))
		frame = binary.BigEndian.AppendUint16(frame, id)
	}
	frame = binary.BigEndian.AppendUint16(frame, uint16(p.kind))
	start := len(frame)
	frame = append(frame, p.body...)
	if p.fromGuest {
		copy(frame[start+senderMACAt:], from[:])
	}
	return frame
}

func orZero(mac *responder.MAC) responder.MAC {
	if mac == nil {
		return responder.MAC{}
	}
	return *mac
}

// The layout of ARP for IPv4 over Ethernet (RFC 826), in bytes after the Ethernet header.
const (
	senderMACAt = 8
	senderIPAt  = 14
	targetMACAt = 18
	targetIPAt  = 24
	arpLen      = 28
)

// startARP makes p an ARP packet with an operation and nothing else.
func (p *Packet) startARP(operation arp.Operation) {
	p.kind, p.fromGuest = ethernet.EtherTypeARP, true
	p.body = []byte{0, 1, 8, 0, 6, 4, byte(operation >> 8), byte(operation)}
	p.body = append(p.body, make([]byte, arpLen-len(p.body))...)
}

// setSenderMAC writes SenderHardwareAddr; the Ethernet source is the same unless the line ends with another.
func (p *Packet) setSenderMAC(mac responder.MAC) {
	p.From, p.fromGuest = &mac, false
	copy(p.body[senderMACAt:], mac[:])
}

func (p *Packet) setTargetMAC(mac responder.MAC) { copy(p.body[targetMACAt:], mac[:]) }

func (p *Packet) setSenderIP(addr netip.Addr) {
	p.Sender = addr
	copy(p.body[senderIPAt:], addr.AsSlice())
}

func (p *Packet) setTargetIP(addr netip.Addr) {
	p.Target = addr
	copy(p.body[targetIPAt:], addr.AsSlice())
}

// Numbers of protocols above IP (RFC 5237).
const (
	protocolICMP = 1
	protocolTCP  = 6
	protocolUDP  = 17
)

var protocols = map[string]uint8{"ICMP": protocolICMP, "TCP": protocolTCP, "UDP": protocolUDP}

// pingLen is the length of an ICMP echo request that carries nothing.
const pingLen = 8

// A datagram is what a line says of an IPv4 packet.
type datagram struct {
	src, dst endpoint
	protocol uint8
	length   int // of what UDP or TCP carries, or of what comes after the IP header; in bytes
}

const (
	ipv4HeaderLen = 20
	tcpHeaderLen  = 20
	udpHeaderLen  = 8
)

// check says what is wrong with a datagram.
func (d *datagram) check() error {
	most := 1<<16 - 1 - ipv4HeaderLen - d.headerLen()
	switch {
	case d.src.hasPort != d.dst.hasPort:
		return errors.New("either both addresses have a port or none: 10.239.0.101.68 > 10.239.0.102.67")
	case d.src.hasPort && d.headerLen() == 0:
		return errors.New("only UDP and TCP have ports")
	case d.length > most:
		return fmt.Errorf("the length is %d at most, not %d", most, d.length)
	}
	return nil
}

// headerLen is how long the header between that of IPv4 and the payload is.
func (d *datagram) headerLen() int {
	switch {
	case d.src.hasPort && d.protocol == protocolTCP:
		return tcpHeaderLen
	case d.src.hasPort && d.protocol == protocolUDP:
		return udpHeaderLen
	}
	return 0
}

// bytes returns the IPv4 packet (RFC 791, 3.1): a header without options or checksum, the ports, and zeros. UDP and
// TCP without ports are a later fragment.
func (d *datagram) bytes() []byte {
	b := make([]byte, ipv4HeaderLen+d.headerLen()+d.length)
	b[0] = 4<<4 | ipv4HeaderLen/4
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[8], b[9] = 64, d.protocol
	copy(b[12:], d.src.addr.AsSlice())
	copy(b[16:], d.dst.addr.AsSlice())
	above := b[ipv4HeaderLen:]
	switch d.headerLen() {
	case 0:
		if d.protocol == protocolTCP || d.protocol == protocolUDP {
			b[7] = 1 // the fragment's offset
		}
		return b
	case tcpHeaderLen:
		above[12] = tcpHeaderLen / 4 << 4 // RFC 9293, 3.1: the data offset
	}
	binary.BigEndian.PutUint16(above, d.src.port)
	binary.BigEndian.PutUint16(above[2:], d.dst.port)
	return b
}

// ipv6 returns an IPv6 packet without a payload of any protocol (RFC 8200, 3), and length zeros.
func ipv6(src, dst netip.Addr, length int) []byte {
	const header, noNextHeader = 40, 59
	b := make([]byte, header+length)
	b[0], b[6], b[7] = 6<<4, noNextHeader, 64
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return b
}
