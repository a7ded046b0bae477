package tcpdump

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// Packet is a parsed line: a frame whose MACs may be unknown.
type Packet struct {
	// From and To are the source and the destination of the Ethernet header; nil if they are not in the line.
	From, To *registry.MAC

	// Sender and Target are ARP's SenderIP and TargetIP, or IPv4's source and destination. They are the zero Addr if
	// the line has none.
	Sender, Target netip.Addr

	// Left is the interface by which the frame left, if tcpdump -i any has printed that; empty otherwise.
	Left string

	kind ethernet.EtherType
	tags []tag  // the outermost first
	body []byte // the bytes after the EtherType

	fromGuest  bool // body has From, too: ARP's SenderHardwareAddr, or DHCP's chaddr
	guestMACAt int  // its offset in body
}

// IsARP reports whether p is an ARP packet.
func (p *Packet) IsARP() bool { return p.kind == ethernet.EtherTypeARP }

// Frame returns the Ethernet frame, without padding or checksum. A nil MAC is zero in it.
func (p *Packet) Frame() []byte {
	from, to := orZero(p.From), orZero(p.To)
	frame := slices.Concat(to[:], from[:])
	for _, t := range p.tags {
		frame = binary.BigEndian.AppendUint16(frame, t.protocol)
		frame = binary.BigEndian.AppendUint16(frame, t.control)
	}
	frame = binary.BigEndian.AppendUint16(frame, uint16(p.kind))
	start := len(frame)
	frame = append(frame, p.body...)
	if p.fromGuest {
		copy(frame[start+p.guestMACAt:], from[:])
	}
	return frame
}

func orZero(mac *registry.MAC) registry.MAC {
	if mac == nil {
		return registry.MAC{}
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

// startARP makes p an ARP packet with an operation; its other fields are zero.
func (p *Packet) startARP(operation arp.Operation) {
	p.kind, p.fromGuest, p.guestMACAt = ethernet.EtherTypeARP, true, senderMACAt
	p.body = []byte{0, 1, 8, 0, 6, 4, byte(operation >> 8), byte(operation)}
	p.body = append(p.body, make([]byte, arpLen-len(p.body))...)
}

// setSenderMAC sets SenderHardwareAddr and the Ethernet source. The end of the line may replace the latter.
func (p *Packet) setSenderMAC(mac registry.MAC) {
	p.From, p.fromGuest = &mac, false
	copy(p.body[senderMACAt:], mac[:])
}

func (p *Packet) setTargetMAC(mac registry.MAC) { copy(p.body[targetMACAt:], mac[:]) }

func (p *Packet) setSenderIP(addr netip.Addr) {
	p.Sender = addr
	copy(p.body[senderIPAt:], addr.AsSlice())
}

func (p *Packet) setTargetIP(addr netip.Addr) {
	p.Target = addr
	copy(p.body[targetIPAt:], addr.AsSlice())
}

// IP protocol numbers (RFC 5237).
const (
	protocolICMP = 1
	protocolTCP  = 6
	protocolUDP  = 17
)

var protocols = map[string]uint8{"ICMP": protocolICMP, "TCP": protocolTCP, "UDP": protocolUDP}

// pingLen is the length in bytes of an ICMP echo request without data.
const pingLen = 8

// A datagram is a parsed IPv4 packet.
type datagram struct {
	src, dst endpoint
	protocol uint8
	length   int           // in bytes: of the UDP or TCP payload, or of everything after the IP header
	client   *registry.MAC // of the DHCP client, if the line names it
}

const (
	ipv4HeaderLen = 20
	tcpHeaderLen  = 20
	udpHeaderLen  = 8
)

// check returns an error if the datagram is invalid.
func (d *datagram) check() error {
	most := 1<<16 - 1 - ipv4HeaderLen - d.headerLen()
	switch {
	case d.src.hasPort != d.dst.hasPort:
		return errors.New("want a port for both addresses or for neither, as in 10.239.0.101.68 > 10.239.0.102.67")
	case d.src.hasPort && d.headerLen() == 0:
		return errors.New("only UDP and TCP have ports")
	case d.length > most:
		return fmt.Errorf("want a length of at most %d, not %d", most, d.length)
	}
	return nil
}

// headerLen returns the length in bytes of the UDP or TCP header, or 0 if the datagram has none.
func (d *datagram) headerLen() int {
	switch {
	case d.src.hasPort && d.protocol == protocolTCP:
		return tcpHeaderLen
	case d.src.hasPort && d.protocol == protocolUDP:
		return udpHeaderLen
	}
	return 0
}

// bytes returns the IPv4 packet (RFC 791, 3.1): a header without options or checksum, the ports, and zeros. UDP or TCP
// without ports becomes a fragment other than the first.
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
	case udpHeaderLen:
		binary.BigEndian.PutUint16(above[4:], uint16(len(above))) // RFC 768
	}
	binary.BigEndian.PutUint16(above, d.src.port)
	binary.BigEndian.PutUint16(above[2:], d.dst.port)
	return b
}

// ipv6 returns an IPv6 packet (RFC 8200, 3) with no next header and length zeros.
func ipv6(src, dst netip.Addr, length int) []byte {
	const header, noNextHeader = 40, 59
	b := make([]byte, header+length)
	b[0], b[6], b[7] = 6<<4, noNextHeader, 64
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return b
}
