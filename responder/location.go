package responder

import (
	"encoding/binary"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/ethernet"
)

// Location says what a frame shows about its sender's location: the sender is behind the port that the frame came in by.
type Location struct {
	MAC registry.MAC // the sender's

	// Announced means that the sender tells everybody where it is, by an ARP announcement or, after a migration, by RARP.
	// Switches outside have to learn it, too.
	Announced bool

	// MACOnly means that the frame has no sender address to check: DHCP or IPv6. Such a frame must not move a MAC that a
	// better one has located.
	MACOnly bool
}

// Locate returns what a frame shows about the location of its sender. It returns false if the frame shows nothing: it
// is not from the owner of its sender address, it is an ARP probe, or the bindings of the MAC name other ports. Locate
// accepts any bytes and allocates nothing.
func (r *Responder) Locate(in Ingress, frame []byte) (Location, bool) {
	var h Header
	if !h.parse(frame) || h.Source == in.HostMAC || !r.registry.MaySend(h.Source, in.Port) {
		return Location{}, false
	}
	at := Location{MAC: h.Source}
	body := frame[h.Len:]
	switch {
	case h.carriesARP(body):
		var p packet
		isShown := p.parse(&h, body) && r.showsOwner(&p, &h, &in)
		at.Announced = isShown && p.senderIP == p.targetIP
		return at, isShown
	case !in.AllowList || h.IsTagged():
		return Location{}, false
	case h.EtherType == etherTypeRARP:
		at.Announced = true
		return at, true
	case h.EtherType == ethernet.EtherTypeIPv6:
		at.MACOnly = true
		return at, r.policy.PassIPv6
	case h.EtherType == ethernet.EtherTypeIPv4:
		var p ipPacket
		isIPv4 := p.parse(body)
		at.MACOnly = isIPv4 && h.Destination == broadcast && p.src == 0 // DHCP; the message may be cut off
		return at, isIPv4 && (at.MACOnly || r.isOwner(h.Source, p.src, in.Port) || r.registry.MayForward(h.Source, p.src, in.Port))
	}
	return Location{}, false
}

// showsOwner reports whether an ARP packet has passed the checks of its form, and is from the owner of its sender address, or
// makes its sender the holder of that.
func (r *Responder) showsOwner(p *packet, h *Header, in *Ingress) bool {
	reason := checkForm(p, h, in)
	return (reason == 0 || reason == RateLimited) &&
		(r.isOwner(p.senderMAC, p.senderIP, in.Port) || r.announcesHolder(p, in.Port))
}

// isOwner reports whether ip belongs to mac, and may be used on a port.
func (r *Responder) isOwner(mac registry.MAC, ip registry.IPv4, port string) bool {
	owner, bound := r.registry.Owner(ip)
	return bound && owner.MAC == mac && r.registry.Admits(owner, port)
}

// WriteRARP writes the RARP frame (RFC 903) into out by which bridges learn where mac is, as QEMU broadcasts it after a
// migration. It returns the length in bytes, which is 60. out must be at least [MinFrameLen] bytes long.
func WriteRARP(out []byte, mac registry.MAC) int {
	out = out[:MinFrameLen]
	clear(out)
	copy(out[0:], broadcast[:])
	copy(out[6:], mac[:])
	binary.BigEndian.PutUint16(out[headerLen-2:], uint16(etherTypeRARP))
	p := packet{senderMAC: mac} // the target, too
	p.write(out[headerLen:], reverseRequest, mac)
	return len(out)
}
