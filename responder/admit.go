package responder

import (
	"encoding/binary"

	"github.com/mdlayher/ethernet"
)

// EtherTypes that package ethernet has no names for.
const (
	etherTypeRARP    ethernet.EtherType = 0x8035 // RFC 903
	etherTypeOldQinQ ethernet.EtherType = 0x9100 // an outer tag, from before 802.1ad gave it 0x88a8
)

// Admit decides about a frame that is not ARP, from a guest port of a network whose bridge has the full guard: a
// frame for which Handle says [NotARP]. The kernel decides about these by itself, by the same rows; Admit says
// what it has made of one. The frame is as for Handle, but may be cut off after 256 bytes. The action is Drop or
// Pass. Admit allocates nothing and takes any bytes for a frame; ARP is an unsupported EtherType to it.
//
// The rows are evaluated top to bottom, and the first that fits decides.
func (r *Responder) Admit(in In, frame []byte) Verdict {
	if len(frame) < headerLen {
		return drop(Malformed)
	}
	dst, src := MAC(frame[0:6]), MAC(frame[6:12])
	kind := ethernet.EtherType(binary.BigEndian.Uint16(frame[12:]))
	switch {
	case isTag(frame[12:]) || kind == etherTypeOldQinQ:
		return drop(UnexpectedVLAN)
	case !src.IsUnicast():
		return drop(InvalidSenderMAC)
	case src == in.HostMAC:
		return drop(SpoofedSource) // even from the host's address, which has a binding where the host is the gateway
	}
	switch kind {
	case etherTypeRARP:
		return r.admitRegistered(src, in.Port, RARPAnnouncement)
	case ethernet.EtherTypeIPv6:
		if !r.policy.PassIPv6 {
			return drop(IPv6)
		}
		return r.admitRegistered(src, in.Port, IPv6)
	case ethernet.EtherTypeIPv4:
		return r.admitIPv4(in, dst, src, frame[headerLen:])
	}
	return drop(UnsupportedEtherType)
}

// admitRegistered passes a frame, for reason, whose sender has any binding that it may use on port.
func (r *Responder) admitRegistered(src MAC, port string, reason Reason) Verdict {
	if !r.registry.mayUse(src, port) {
		return drop(UnregisteredMAC)
	}
	return Verdict{Action: Pass, Reason: reason}
}

func (r *Responder) admitIPv4(in In, dst, src MAC, body []byte) Verdict {
	var p ipPacket
	if !p.parse(body) {
		return drop(Malformed)
	}
	if dst == broadcast && p.isFromDHCPClient() {
		return r.admitRegistered(src, in.Port, DHCPClient)
	}
	bound := r.registry.lookup(p.src)
	switch {
	case bound == nil:
		return drop(UnregisteredSource)
	case !r.registry.isOwner(bound, src, in.Port):
		return drop(SpoofedSource)
	case dst[0]&1 != 0:
		return drop(GroupDestination)
	case !r.registry.knows(dst) && (dst != in.HostMAC || dst == MAC{}):
		return drop(UnknownDestination)
	}
	return Verdict{Action: Pass, Reason: Admitted}
}

// Numbers of protocols above IP (RFC 5237).
const (
	protocolICMP = 1
	protocolTCP  = 6
	protocolUDP  = 17
)

// An ipPacket is an IPv4 packet.
type ipPacket struct {
	protocol byte
	src, dst ipv4
	later    bool   // a fragment other than the first: there are no ports in it
	length   int    // bytes after the header, as the header has it
	payload  []byte // those of them that are in the frame, and its padding
}

// parse reads the bytes after an Ethernet header into p. It reports whether they begin with a whole IPv4
// header.
//
// The layout (RFC 791, 3.1), in bytes: version and header length in words 1, type of service 1, total length 2,
// identification 2, flags and fragment offset 2, time to live 1, protocol 1, checksum 2, source 4, destination 4,
// options.
func (p *ipPacket) parse(b []byte) bool {
	const shortest, offset = 20, 0x1fff
	if len(b) < shortest || b[0]>>4 != 4 {
		return false
	}
	n := int(b[0]&0xf) * 4
	if n < shortest || len(b) < n {
		return false
	}
	p.protocol = b[9]
	p.src, p.dst = ipv4(binary.BigEndian.Uint32(b[12:])), ipv4(binary.BigEndian.Uint32(b[16:]))
	p.later = binary.BigEndian.Uint16(b[6:])&offset != 0
	p.length = int(binary.BigEndian.Uint16(b[2:])) - n
	p.payload = b[n:]
	return true
}

// ports returns the ports of a TCP or UDP packet that has them.
func (p *ipPacket) ports() (src, dst uint16, ok bool) {
	if p.later || p.protocol != protocolTCP && p.protocol != protocolUDP || len(p.payload) < 4 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint16(p.payload), binary.BigEndian.Uint16(p.payload[2:]), true
}

// isFromDHCPClient reports whether a host that has no address yet asks for one (RFC 2131, 4.1).
func (p *ipPacket) isFromDHCPClient() bool {
	const client, server, everybody = 68, 67, 0xffff_ffff
	src, dst, ok := p.ports()
	return ok && p.protocol == protocolUDP && src == client && dst == server && p.src == 0 && p.dst == everybody
}
