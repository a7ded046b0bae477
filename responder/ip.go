package responder

import (
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/ethernet"
)

// decideIP decides about a frame that is not ARP, at a guest port with an allow-list. The guard in the kernel enforces
// the same rows; decideIP tells which of them matched. The action is Drop or Pass.
//
// The rows are evaluated from top to bottom, and the first that matches decides.
func (r *Responder) decideIP(in *Ingress, h *Header, body []byte) Verdict {
	switch {
	case h.IsTagged() || h.EtherType == etherTypeOldQinQ:
		return drop(UnexpectedVLAN)
	case !h.Source.IsUnicast():
		return drop(InvalidSenderMAC)
	case h.Source == in.HostMAC:
		// This precedes the registry's rows: if the host is the gateway, its MAC has a binding, which would let the
		// frame pass.
		return drop(SpoofedSource)
	}
	switch h.EtherType {
	case etherTypeRARP:
		return r.passRegistered(h.Source, in.Port, RARPAnnouncement)
	case ethernet.EtherTypeIPv6:
		if !r.policy.PassIPv6 {
			return drop(IPv6)
		}
		return r.passRegistered(h.Source, in.Port, IPv6)
	case ethernet.EtherTypeIPv4:
		return r.decideIPv4(in, h, body)
	}
	return drop(UnsupportedEtherType)
}

// passRegistered passes a frame, with reason, if its source MAC has a binding that may be used on port.
func (r *Responder) passRegistered(src registry.MAC, port string, reason Reason) Verdict {
	if !r.registry.MaySend(src, port) {
		return drop(UnregisteredMAC)
	}
	return Verdict{Action: Pass, Reason: reason}
}

func (r *Responder) decideIPv4(in *Ingress, h *Header, body []byte) Verdict {
	var p ipPacket
	if !p.parse(body) || !p.isWhole(h.Len) {
		return drop(Malformed)
	}
	// DHCP precedes the sender's rows, because a client without an address sends from 0.0.0.0, which has no binding.
	isDHCP := h.Destination == broadcast && p.isFromDHCPClient()
	if isDHCP && p.src == 0 {
		return r.decideDHCPClient(in, h, &p)
	}
	reason := r.checkSource(h.Source, p.src, in.Port)
	switch {
	case reason != 0:
		return drop(reason)
	case isDHCP && p.isInvalidDHCP(h.Source):
		return drop(InvalidDHCP)
	case isDHCP:
		return Verdict{Action: Pass, Reason: DHCPClient}
	case h.Destination[0]&1 != 0:
		return drop(GroupDestination)
	case !r.isGuestOrHost(h.Destination, in):
		return r.decideUnknownDestination(h, &p)
	case !r.receives(h.Destination, p.dst, in), r.isForTunnel(h.Destination, &p, in):
		return drop(ForeignDestination)
	case p.isInvalidDHCP(h.Source):
		return drop(InvalidDHCP)
	}
	return Verdict{Action: Pass, Reason: Admitted}
}

// decideDHCPClient decides about the broadcast of a DHCP client without an address.
func (r *Responder) decideDHCPClient(in *Ingress, h *Header, p *ipPacket) Verdict {
	isNew := r.policy.OpenDHCP && !r.registry.IsRegistered(h.Source)
	switch {
	case !isNew && !r.registry.MaySend(h.Source, in.Port):
		return drop(UnregisteredMAC)
	case p.isInvalidDHCP(h.Source):
		return drop(InvalidDHCP)
	}
	return Verdict{Action: Pass, Reason: DHCPClient}
}

// decideUnknownDestination decides about IPv4 from the sender's own address to a unicast MAC without a binding.
func (r *Responder) decideUnknownDestination(h *Header, p *ipPacket) Verdict {
	switch {
	case !r.policy.UnknownToUplinks || !p.dst.CanBeSource():
		return drop(UnknownDestination)
	case p.isInvalidDHCP(h.Source):
		return drop(InvalidDHCP)
	}
	return Verdict{Action: Pass, Reason: UnknownDestination}
}

// checkSource compares the source of IPv4 with the registry. It returns 0 if the sender may use the address: it is bound to
// the sender, or the sender is a router and has a route for it, whether the address is bound to another or not.
func (r *Responder) checkSource(mac registry.MAC, ip registry.IPv4, port string) Reason {
	owner, bound := r.registry.Owner(ip)
	switch {
	case bound && owner.MAC == mac && r.registry.Admits(owner, port):
		return 0
	case r.registry.MayForward(mac, ip, port):
		return 0
	case !bound:
		return UnregisteredSource
	case r.registry.IsCandidate(ip, mac, port):
		return NotHolder
	}
	return SpoofedSource
}

// isGuestOrHost reports whether mac is registered or is the host's own.
func (r *Responder) isGuestOrHost(mac registry.MAC, in *Ingress) bool {
	return r.registry.IsRegistered(mac) || mac == in.HostMAC && mac != registry.MAC{}
}

// receives reports whether the guest or host with a MAC receives IPv4 to addr. Nobody receives a multicast or broadcast
// in a unicast frame: the receiver's kernel would hand it to programs all the same.
func (r *Responder) receives(mac registry.MAC, addr registry.IPv4, in *Ingress) bool {
	if r.forwardsAll(mac, in) {
		return addr.CanBeSource()
	}
	return r.registry.MayReceive(mac, addr)
}

// vxlanPort is the UDP port of VXLAN (RFC 7348, 5).
const vxlanPort = 4789

// isForTunnel reports whether a guest's packet would reach the end of a tunnel between hosts: the host takes it at each of its
// addresses, or forwards it to another host.
func (r *Responder) isForTunnel(dst registry.MAC, p *ipPacket, in *Ingress) bool {
	return r.policy.HostTunnels && dst == in.HostMAC && p.isUDPTo(vxlanPort)
}

// forwardsAll reports whether the guest or host with a MAC receives IPv4 to any address, to forward it.
func (r *Responder) forwardsAll(mac registry.MAC, in *Ingress) bool {
	return mac == in.HostMAC || mac == r.gateway
}
