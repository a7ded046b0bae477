package responder

import (
	"net/netip"
	"slices"

	"github.com/mdlayher/arp"
)

// Policy holds what an operator may choose about the decision. The zero Policy is the default one.
type Policy struct {
	// AnySender takes every SenderIP as it is (`sender: any`): no unregistered-sender, no spoofed-sender. It is
	// about ARP: Admit holds the source of IPv4 against the registry all the same.
	AnySender bool

	// IgnoreSelfProbe drops a guest's probe for its own address (`self_probe: drop`). By default it is
	// answered with the guest's own MAC, as the cloud does.
	IgnoreSelfProbe bool

	// DenyMAC, unless zero, is the MAC that answers guests' probes for addresses without a binding
	// (`unallocated_probe: deny`), so that a client that detects address conflicts gives the address up. What is
	// behind an uplink has addresses that the registry need not know.
	DenyMAC MAC

	// PassIPv6 lets IPv6 pass from registered MACs, to anybody (`ipv6: pass`). By default Admit drops it.
	PassIPv6 bool

	// Host lists IPv4 addresses that the host's kernel answers for itself. Others are ignored.
	Host []netip.Addr
}

// In says how a frame came in.
type In struct {
	Port      string // the name of the interface
	Uplink    bool   // the port leads elsewhere: its senders are not checked, and replies pass
	Trunk     bool   // one VLAN tag is as it should be on this port
	OverLimit bool   // the port sends more than its rate limit; the caller keeps the clock

	// HostMAC, unless zero, is the MAC that the host itself has on the bridge. Admit lets IPv4 pass to it,
	// whether it is registered or not.
	HostMAC MAC

	// Source, unless zero, is the Ethernet source of answers in the owner's stead. A switch on the way to
	// the guests that isn't the host's would learn from an answer that the owner is where the fabric is.
	Source MAC

	// Owner, unless zero, is the one host whose addresses are answered for on the port. Others' are theirs to
	// answer for, and unknown here.
	Owner MAC
}

// Responder decides about the frames of one network. It is immutable and may be used from several
// goroutines at once.
type Responder struct {
	registry *Registry
	policy   Policy
	host     []ipv4
}

// New makes a Responder.
func New(registry *Registry, policy Policy) *Responder {
	r := &Responder{registry: registry, policy: policy}
	for _, addr := range policy.Host {
		if addr = addr.Unmap(); addr.Is4() {
			r.host = append(r.host, toIPv4(addr))
		}
	}
	return r
}

// Registry returns the registry that r answers from.
func (r *Responder) Registry() *Registry { return r.registry }

// Handle decides about one frame: a whole Ethernet frame without its checksum, with its VLAN tags in
// place. Where the verdict's action is Reply, the answer is in out[:Verdict.Len]: 60 bytes, or 64 with
// the tag of a trunk. out must have room for [MaxReplyLen] bytes and must not overlap frame; frame is not
// changed. Handle allocates nothing and takes any bytes for a frame.
//
// The rows below are those of the decision table, evaluated top to bottom; the first that fits decides.
func (r *Responder) Handle(in In, frame, out []byte) Verdict {
	var p packet
	switch reason := p.parse(frame); reason {
	case NotARP:
		return Verdict{Action: Pass, Reason: NotARP}
	case Malformed:
		return drop(Malformed)
	}
	if reason := checkForm(&p, in); reason != 0 {
		return drop(reason)
	}
	if !in.Uplink && !r.policy.AnySender {
		if reason := r.checkSender(&p, in.Port); reason != 0 {
			return drop(reason)
		}
	}
	if p.operation == arp.OperationReply {
		if in.Uplink {
			return Verdict{Action: Pass, Reason: GuestReply}
		}
		return drop(GuestReply)
	}
	verdict := r.answer(&p, in, out)
	if verdict.Action == Reply && in.Source != (MAC{}) {
		copy(out[len(MAC{}):], in.Source[:])
	}
	return verdict
}

// checkForm finds what is wrong with a packet whatever the registry holds: rows 3 to 8.
func checkForm(p *packet, in In) Reason {
	switch {
	case p.tags > 1 || p.tags == 1 && !in.Trunk:
		return UnexpectedVLAN
	case p.operation != arp.OperationRequest && p.operation != arp.OperationReply:
		return UnsupportedOperation
	case in.OverLimit:
		return RateLimited
	case !p.senderMAC.IsUnicast():
		return InvalidSenderMAC
	case p.src != p.senderMAC:
		return SenderMACMismatch
	case p.senderIP.cannotSend():
		return InvalidSenderIP
	}
	return 0
}

// checkSender holds the sender against the registry: rows 9 and 10.
func (r *Responder) checkSender(p *packet, port string) Reason {
	if p.senderIP == 0 {
		return 0
	}
	bound := r.registry.lookup(p.senderIP)
	if bound == nil {
		return UnregisteredSender
	}
	if !r.registry.isOwner(bound, p.senderMAC, port) {
		return SpoofedSender
	}
	return 0
}

// answer decides about a request whose sender may ask: rows 12 to 16.
func (r *Responder) answer(p *packet, in In, out []byte) Verdict {
	if p.senderIP == p.targetIP {
		return drop(Announcement)
	}
	if slices.Contains(r.host, p.targetIP) {
		return Verdict{Action: Pass, Reason: HostAddress}
	}
	probe := p.senderIP == 0
	bound := r.registry.lookup(p.targetIP)
	if in.Owner != (MAC{}) && (bound == nil || bound.mac != in.Owner) {
		return drop(UnknownTarget)
	}
	if bound == nil {
		if probe && !in.Uplink && r.policy.DenyMAC != (MAC{}) {
			return Verdict{Reply, UnallocatedProbe, p.writeReply(out, r.policy.DenyMAC)}
		}
		return drop(UnknownTarget)
	}
	reason := Answered
	if probe && bound.mac == p.senderMAC {
		if r.policy.IgnoreSelfProbe {
			return drop(SelfProbe)
		}
		reason = SelfProbe
	} else if probe {
		reason = ConflictProbe
	}
	return Verdict{Reply, reason, p.writeReply(out, bound.mac)}
}

func drop(reason Reason) Verdict { return Verdict{Action: Drop, Reason: reason} }
