package responder

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// Describe describes a frame as tcpdump -n does, for example "ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length
// 28". The length is the number of bytes after the Ethernet header and the VLAN tags. Tags come first, the outermost
// first: "vlan 5, ARP, ...". (tcpdump shows them only with -e.)
//
// Describe says less than tcpdump about other frames: "IP 10.239.0.101.5353 > 10.239.0.102.53: UDP, length 31", with the
// length of the payload, or only "ethertype 0x88cc, length 46".
func Describe(frame []byte) string {
	h, ok := ParseHeader(frame)
	var p packet
	isARP := ok && h.carriesARP(frame[h.Len:])
	if !ok || isARP && !p.parse(&h, frame[h.Len:]) {
		return fmt.Sprintf("malformed ARP, length %d", max(0, len(frame)-headerLen))
	}
	words := ""
	for i := range h.Tags {
		words += fmt.Sprintf("vlan %d, ", vlanID(binary.BigEndian.Uint16(frame[headerLen+i*tagLen:])))
	}
	if !isARP {
		return words + describeOther(h.EtherType, frame[h.Len:])
	}
	return fmt.Sprintf("%sARP, %s, length %d", words, p.describeOperation(), packetLen+p.trailerLen)
}

// The operations, other than request and reply, that tcpdump names (RFC 903, RFC 2390).
const (
	reverseRequest arp.Operation = 3
	reverseReply   arp.Operation = 4
	inverseRequest arp.Operation = 8
	inverseReply   arp.Operation = 9
)

func (p *packet) describeOperation() string {
	switch p.operation {
	case arp.OperationRequest:
		asked := p.targetIP.String()
		if p.targetMAC != (registry.MAC{}) {
			asked += " (" + p.targetMAC.String() + ")"
		}
		return fmt.Sprintf("Request who-has %s tell %s", asked, p.senderIP)
	case arp.OperationReply:
		return fmt.Sprintf("Reply %s is-at %s", p.senderIP, p.senderMAC)
	case reverseRequest:
		return fmt.Sprintf("Reverse Request who-is %s tell %s", p.targetMAC, p.senderMAC)
	case reverseReply:
		return fmt.Sprintf("Reverse Reply %s at %s", p.targetMAC, p.targetIP)
	case inverseRequest:
		return fmt.Sprintf("Inverse Request who-is %s tell %s", p.targetMAC, p.senderMAC)
	case inverseReply:
		return fmt.Sprintf("Inverse Reply %s at %s", p.senderMAC, p.senderIP)
	}
	return fmt.Sprintf("Unknown (%d)", p.operation)
}

// describeOther describes the payload of a frame whose EtherType is not ARP.
func describeOther(kind ethernet.EtherType, body []byte) string {
	switch {
	case kind == ethernet.EtherTypeIPv4:
		return describeIPv4(body)
	case kind == ethernet.EtherTypeIPv6:
		return describeIPv6(body)
	case kind < firstEtherType:
		return fmt.Sprintf("LLC, length %d", len(body))
	}
	return fmt.Sprintf("ethertype 0x%04x, length %d", uint16(kind), len(body))
}

func describeIPv4(body []byte) string {
	var p ipPacket
	if !p.parse(body) {
		return fmt.Sprintf("malformed IP, length %d", len(body))
	}
	src, dst := p.src.String(), p.dst.String()
	if from, to, ok := p.ports(); ok {
		src, dst = fmt.Sprintf("%s.%d", src, from), fmt.Sprintf("%s.%d", dst, to)
	}
	return fmt.Sprintf("IP %s > %s: %s, length %d", src, dst, protocolName(p.protocol), max(0, p.payloadLen()))
}

// payloadLen returns the length in bytes of the TCP or UDP payload. For other protocols, and for fragments after the
// first, it is the length of everything after the IP header.
func (p *ipPacket) payloadLen() int {
	const udpHeader, dataOffset = 8, 12
	switch {
	case p.laterFragment:
		return p.length
	case p.protocol == protocolUDP:
		return p.length - udpHeader
	case p.protocol == protocolTCP && len(p.payload) > dataOffset:
		return p.length - int(p.payload[dataOffset]>>4)*4
	}
	return p.length
}

func protocolName(protocol byte) string {
	switch protocol {
	case protocolICMP:
		return "ICMP"
	case protocolTCP:
		return "TCP"
	case protocolUDP:
		return "UDP"
	}
	return fmt.Sprintf("protocol %d", protocol)
}

// describeIPv6 reads the fixed header (RFC 8200, 3), in bytes: version, traffic class and flow label 4, payload
// length 2, next header 1, hop limit 1, source 16, destination 16.
func describeIPv6(body []byte) string {
	const header = 40
	if len(body) < header || body[0]>>4 != 6 {
		return fmt.Sprintf("malformed IP6, length %d", len(body))
	}
	src, dst := netip.AddrFrom16([16]byte(body[8:24])), netip.AddrFrom16([16]byte(body[24:40]))
	return fmt.Sprintf("IP6 %s > %s, length %d", src, dst, binary.BigEndian.Uint16(body[4:]))
}
