package responder

import (
	"encoding/binary"
	"net/netip"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

const (
	packetLen        = 28 // RFC 826 for IPv4 over Ethernet
	hardwareEthernet = 1  // RFC 826, ar$hrd
)

// A packet is an ARP packet for IPv4 over Ethernet.
type packet struct {
	operation  arp.Operation
	senderMAC  registry.MAC
	senderIP   registry.IPv4
	targetMAC  registry.MAC
	targetIP   registry.IPv4
	trailerLen int // bytes after the packet: the padding of a short frame
}

// parse reads the bytes after the Ethernet header into p. It reports whether they begin with a complete ARP packet for
// IPv4 over Ethernet II. It ignores the bytes after the packet.
//
// The layout (RFC 826), in bytes: hardware type 2, protocol type 2, hardware length 1, protocol length 1, operation 2,
// sender MAC 6, sender IP 4, target MAC 6, target IP 4.
func (p *packet) parse(h *Header, body []byte) bool {
	if h.EtherType != ethernet.EtherTypeARP || len(body) < packetLen ||
		binary.BigEndian.Uint16(body[0:]) != hardwareEthernet ||
		binary.BigEndian.Uint16(body[2:]) != uint16(ethernet.EtherTypeIPv4) ||
		body[4] != 6 || body[5] != 4 {
		return false
	}
	p.operation = arp.Operation(binary.BigEndian.Uint16(body[6:]))
	p.senderMAC, p.senderIP = registry.MAC(body[8:14]), registry.IPv4(binary.BigEndian.Uint32(body[14:]))
	p.targetMAC, p.targetIP = registry.MAC(body[18:24]), registry.IPv4(binary.BigEndian.Uint32(body[24:]))
	p.trailerLen = len(body) - packetLen
	return true
}

// isProbe reports whether SenderIP is 0.0.0.0: the sender has no address yet (RFC 5227, 1.1).
func (p *packet) isProbe() bool { return p.senderIP == 0 }

// writeReply writes the reply to the request p, which was parsed from frame, into out, and returns its length in bytes:
// 60, or 64 with a tag. The reply says that owner has the requested address. If the request has a VLAN tag, the reply
// carries its outermost one.
func (p *packet) writeReply(out, frame []byte, h *Header, owner registry.MAC) int {
	n := MinFrameLen
	at := headerLen - 2 // of the EtherType
	if h.IsTagged() {
		n += tagLen
		at += tagLen
	}
	out = out[:n]
	clear(out)
	copy(out[0:], h.Source[:])
	copy(out[6:], owner[:])
	copy(out[12:at], frame[12:]) // the tag, if any
	binary.BigEndian.PutUint16(out[at:], uint16(ethernet.EtherTypeARP))
	p.write(out[at+2:], arp.OperationReply, owner)
	return n
}

// write writes the 28 bytes of a packet to p's sender, in which owner is the sender and has the address that p asks for.
func (p *packet) write(body []byte, operation arp.Operation, owner registry.MAC) {
	binary.BigEndian.PutUint16(body[0:], hardwareEthernet)
	binary.BigEndian.PutUint16(body[2:], uint16(ethernet.EtherTypeIPv4))
	body[4], body[5] = 6, 4
	binary.BigEndian.PutUint16(body[6:], uint16(operation))
	copy(body[8:], owner[:])
	binary.BigEndian.PutUint32(body[14:], uint32(p.targetIP))
	copy(body[18:], p.senderMAC[:])
	binary.BigEndian.PutUint32(body[24:], uint32(p.senderIP))
}

// WriteAnnouncement writes an ARP announcement, also called gratuitous ARP (RFC 5227, 3), into out: a broadcast request
// for addr from addr. A host that has another MAC for addr in its cache replaces it. WriteAnnouncement returns the
// length in bytes, which is 60. out must be at least [MinFrameLen] bytes long, and addr must be IPv4.
func WriteAnnouncement(out []byte, addr netip.Addr, mac registry.MAC) int {
	ip := registry.IPv4Of(addr)
	return writeRequest(out, packet{senderIP: ip, targetIP: ip}, mac)
}

// WriteProbe writes an ARP probe (RFC 5227, 1.1) into out, as WriteAnnouncement does: a broadcast request for addr by mac,
// from 0.0.0.0.
func WriteProbe(out []byte, addr netip.Addr, mac registry.MAC) int {
	return writeRequest(out, packet{senderIP: registry.IPv4Of(addr)}, mac)
}

// writeRequest writes a broadcast request by mac into out. The addresses are those of p, with sender and target exchanged.
func writeRequest(out []byte, p packet, mac registry.MAC) int {
	out = out[:MinFrameLen]
	clear(out)
	copy(out[0:], broadcast[:])
	copy(out[6:], mac[:])
	binary.BigEndian.PutUint16(out[headerLen-2:], uint16(ethernet.EtherTypeARP))
	p.write(out[headerLen:], arp.OperationRequest, mac)
	return len(out)
}
