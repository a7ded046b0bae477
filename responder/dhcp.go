package responder

import (
	"encoding/binary"
	"fmt"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// The UDP ports of DHCP (RFC 2131, 4.1).
const (
	dhcpServerPort = 67
	dhcpClientPort = 68
)

// isUDPTo reports whether the packet is a UDP datagram to a port, or its first fragment.
func (p *ipPacket) isUDPTo(port uint16) bool {
	_, dst, ok := p.ports()
	return ok && p.protocol == protocolUDP && dst == port
}

// isDHCP reports whether the packet is UDP from one of DHCP's ports to the other.
func (p *ipPacket) isDHCP(from, to uint16) bool {
	src, _, _ := p.ports()
	return src == from && p.isUDPTo(to)
}

// isFromDHCPClient reports whether a DHCP client sent the packet to all servers: without an address (RFC 2131, 4.1), or from
// the one that it rebinds (4.4.5).
func (p *ipPacket) isFromDHCPClient() bool {
	const limitedBroadcast = 0xffff_ffff
	return p.dst == limitedBroadcast && p.isDHCP(dhcpClientPort, dhcpServerPort)
}

// isInvalidDHCP reports whether a guest with a MAC may not send the packet, which is DHCP by its ports: it is for a server,
// but not a request of that client alone, or it is for a client. Servers do not look at the port that a request comes
// from, nor clients at that of an answer.
func (p *ipPacket) isInvalidDHCP(sender registry.MAC) bool {
	return p.isUDPTo(dhcpServerPort) && !p.isRequestOf(sender) || p.isUDPTo(dhcpClientPort)
}

// A dhcpMessage has the fields of a DHCP message that tell whose it is.
//
// The layout (RFC 2131, 2), in bytes: op 1, htype 1, hlen 1, hops 1, xid 4, secs 2, flags 2, ciaddr 4, yiaddr 4, siaddr 4,
// giaddr 4, chaddr 16, and more.
type dhcpMessage struct {
	op, htype, hlen byte
	giaddr          registry.IPv4
	chaddr          registry.MAC
}

// dhcpMessage reads the message in a UDP datagram. It returns false if the frame, or the datagram by its own length, ends
// before the end of chaddr. It returns false for fragments, too: what the frame has after them is not what the receiver
// puts together.
func (p *ipPacket) dhcpMessage() (m dhcpMessage, ok bool) {
	const udpLength, udpHeader, giaddr, chaddr = 4, 8, 24, 28
	end := udpHeader + chaddr + len(m.chaddr)
	if p.isFragment || len(p.payload) < end || int(binary.BigEndian.Uint16(p.payload[udpLength:])) < end {
		return dhcpMessage{}, false
	}
	b := p.payload[udpHeader:]
	return dhcpMessage{
		op: b[0], htype: b[1], hlen: b[2],
		giaddr: registry.IPv4(binary.BigEndian.Uint32(b[giaddr:])), chaddr: registry.MAC(b[chaddr : chaddr+len(m.chaddr)]),
	}, true
}

// isRequestOf reports whether a datagram to a DHCP server holds a request of the client with a MAC that no relay has
// forwarded. A server would take another chaddr for another client, and would answer to another giaddr.
func (p *ipPacket) isRequestOf(client registry.MAC) bool {
	const bootRequest = 1
	m, ok := p.dhcpMessage()
	return ok && m == dhcpMessage{op: bootRequest, htype: hardwareEthernet, hlen: byte(len(client)), chaddr: client}
}

// describeRequest describes the message in a datagram to a DHCP server.
func (p *ipPacket) describeRequest() string {
	m, ok := p.dhcpMessage()
	if !ok {
		return "a DHCP message that is a fragment, or ends before chaddr does"
	}
	return fmt.Sprintf("op %d, htype %d, hlen %d, giaddr %s, chaddr %s", m.op, m.htype, m.hlen, m.giaddr, m.chaddr)
}
