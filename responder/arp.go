package responder

import (
	"slices"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
)

// decideARP decides about an ARP frame. It evaluates the rows of the decision table from top to bottom; the first that
// matches decides.
func (r *Responder) decideARP(in *Ingress, h *Header, frame, out []byte) Verdict {
	var p packet
	if !p.parse(h, frame[h.Len:]) {
		return drop(Malformed)
	}
	if reason := checkForm(&p, h, in); reason != 0 {
		return drop(reason)
	}
	// The sender is checked before the operation, so that a forged reply counts as spoofed and not as a mere reply.
	announcesHolder := r.announcesHolder(&p, in.Port)
	if in.Kind != Uplink && !in.isHost(p.senderMAC) && !r.policy.AnySender && !announcesHolder {
		if reason := r.checkSender(&p, in.Port); reason != 0 {
			return drop(reason)
		}
	}
	if p.operation == arp.OperationReply {
		verdict := Verdict{Action: Drop, Reason: GuestReply, AnnouncesHolder: announcesHolder}
		if in.Kind == Uplink {
			verdict.Action = Pass
		}
		return verdict
	}
	owner, verdict := r.decideRequest(&p, in)
	verdict.AnnouncesHolder = announcesHolder
	if verdict.Action != Reply {
		return verdict
	}
	verdict.Len = p.writeReply(out, frame, h, owner)
	// Only the Ethernet source is replaced. The ARP sender stays the owner: it is what the requester learns.
	if in.Source != (registry.MAC{}) {
		copy(out[len(registry.MAC{}):], in.Source[:])
	}
	return verdict
}

// checkForm checks a packet without the registry, by rows 3 to 8. It returns 0 if no row matches.
func checkForm(p *packet, h *Header, in *Ingress) Reason {
	switch {
	case h.Tags > 1 || h.Tags == 1 && !in.Trunk:
		return UnexpectedVLAN
	case p.operation != arp.OperationRequest && p.operation != arp.OperationReply:
		return UnsupportedOperation
	case in.RateLimited:
		return RateLimited
	case !p.senderMAC.IsUnicast():
		return InvalidSenderMAC
	case h.Source != p.senderMAC:
		return SenderMACMismatch
	case !p.senderIP.CanBeSource():
		return InvalidSenderIP
	}
	return 0
}

// announcesHolder reports whether a packet makes its sender the holder of its address, or says that it still is: it is an
// announcement (RFC 5227, 3), as a request or a reply, by one of the MACs between which the address moves.
func (r *Responder) announcesHolder(p *packet, port string) bool {
	return p.senderIP == p.targetIP && r.registry.IsCandidate(p.senderIP, p.senderMAC, port)
}

// checkSender compares the sender with the registry, by rows 9 and 10. It returns 0 if neither matches.
func (r *Responder) checkSender(p *packet, port string) Reason {
	if p.isProbe() {
		return 0
	}
	owner, bound := r.registry.Owner(p.senderIP)
	switch {
	case !bound:
		return UnregisteredSender
	case owner.MAC == p.senderMAC && r.registry.Admits(owner, port):
		return 0
	case r.registry.IsCandidate(p.senderIP, p.senderMAC, port):
		return NotHolder
	}
	return SpoofedSender
}

// decideRequest decides about a request whose sender passed the checks, by rows 12 to 16. If the action is Reply, it
// also returns the MAC to answer with.
func (r *Responder) decideRequest(p *packet, in *Ingress) (registry.MAC, Verdict) {
	if p.senderIP == p.targetIP {
		return registry.MAC{}, drop(Announcement)
	}
	// The host's kernel answers for its own addresses, even for one that also has a binding; a second answer would race
	// it.
	if slices.Contains(r.host, p.targetIP) {
		return registry.MAC{}, Verdict{Action: Pass, Reason: HostAddress}
	}
	owner, bound := r.registry.Owner(p.targetIP)
	switch {
	case in.Owner != (registry.MAC{}) && (!bound || owner.MAC != in.Owner):
		return registry.MAC{}, drop(UnknownTarget)
	case !bound && p.isProbe() && in.Kind != Uplink && r.policy.DenyMAC != (registry.MAC{}):
		return r.policy.DenyMAC, Verdict{Action: Reply, Reason: UnallocatedProbe}
	case !bound && r.leavesByUplinks(p, in):
		return registry.MAC{}, Verdict{Action: Pass, Reason: UnknownTarget}
	case !bound:
		return registry.MAC{}, drop(UnknownTarget)
	case !p.isProbe():
		return owner.MAC, Verdict{Action: Reply, Reason: Answered}
	case owner.MAC != p.senderMAC:
		return owner.MAC, Verdict{Action: Reply, Reason: ConflictProbe}
	case r.policy.IgnoreSelfProbe:
		return registry.MAC{}, drop(SelfProbe)
	}
	return owner.MAC, Verdict{Action: Reply, Reason: SelfProbe}
}

// leavesByUplinks reports whether a request for an address without a binding goes to the hosts behind the uplinks; a probe
// does too, to detect a conflict there. It teaches them and the switches there who the sender is. So the sender is checked
// even if the policy is `sender: any`, and even of a probe, which has no sender address.
func (r *Responder) leavesByUplinks(p *packet, in *Ingress) bool {
	switch {
	case !r.policy.UnknownToUplinks || in.Kind == Uplink || p.targetIP == 0 || !p.targetIP.CanBeSource():
		return false
	case in.isHost(p.senderMAC):
		return true
	}
	return r.registry.MaySend(p.senderMAC, in.Port) && r.checkSender(p, in.Port) == 0
}
