package responder

import (
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/ethernet"
)

// decideOutside decides about a frame that is not ARP and comes from an uplink, or from the host, of a network with an
// allow-list. The senders behind an uplink are not checked, but a guest receives only what is for its own addresses. A
// frame that is dropped, RARP, and a broadcast DHCP request reach no guest; the host and other uplinks receive them.
//
// The rows are evaluated from top to bottom, and the first that matches decides.
func (r *Responder) decideOutside(in *Ingress, h *Header, body []byte) Verdict {
	others := Verdict{Action: Pass, Reason: NotARP}
	switch {
	case h.Tags > 1 || h.IsTagged() && !in.Trunk:
		return others
	case h.EtherType == etherTypeRARP && in.Kind == Uplink:
		return Verdict{Action: Pass, Reason: RARPAnnouncement}
	case h.EtherType != ethernet.EtherTypeIPv4:
		return others
	}
	var p ipPacket
	switch {
	case !p.parse(body) || !p.isWhole(h.Len):
		return drop(Malformed)
	case in.Kind == Host && !r.isFromHost(in, h, &p):
		return drop(SpoofedSource)
	case !h.Destination.IsUnicast() && p.isDHCP(dhcpClientPort, dhcpServerPort):
		return Verdict{Action: Pass, Reason: DHCPClient}
	case !h.Destination.IsUnicast(), h.Destination == in.HostMAC, p.isDHCP(dhcpServerPort, dhcpClientPort):
		return others
	case r.registry.IsRegistered(h.Destination) && !r.receives(h.Destination, p.dst, in):
		return drop(ForeignDestination)
	}
	return others
}

// isFromHost reports whether IPv4 that the host sends to its guests is its own. It routes, so it may send from any address
// with its own MAC. An interface on top of the bridge, such as a macvlan, may send to one guest from its own addresses, or
// as the gateway. A MAC that is bound to a port is that of a guest.
func (r *Responder) isFromHost(in *Ingress, h *Header, p *ipPacket) bool {
	if h.Source == in.HostMAC || in.HostMAC == (registry.MAC{}) {
		return true
	}
	isOwn := h.Source == r.gateway || r.checkSource(h.Source, p.src, in.Port) == 0
	return h.Destination.IsUnicast() && r.registry.MaySend(h.Source, in.Port) && isOwn
}
