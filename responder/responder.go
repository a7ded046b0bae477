package responder

import (
	"net/netip"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// Policy holds the operator's choices about the decision. The zero Policy is the default.
type Policy struct {
	// AnySender skips the check of ARP's SenderIP (`sender: any`), so that no frame is an unregistered-sender or a
	// spoofed-sender. The source of IPv4 is still compared with the registry.
	AnySender bool

	// IgnoreSelfProbe drops a guest's probe for its own address (`self_probe: drop`). By default the probe is answered
	// with the guest's own MAC, as in a cloud VPC.
	IgnoreSelfProbe bool

	// DenyMAC, unless zero, answers guests' probes for addresses without a binding (`unallocated_probe: deny`), so that a
	// client that detects address conflicts gives the address up. A probe from an uplink is not answered with it, because
	// hosts behind the uplink may have addresses that the registry does not list.
	DenyMAC registry.MAC

	// UnknownToUplinks lets guests reach hosts behind the uplinks that the registry does not list (`unknown_target:
	// uplink`): a request for an address without a binding, and IPv4 to a MAC without one, pass to the uplinks, and only
	// there. By default they are dropped.
	UnknownToUplinks bool

	// PassIPv6 lets IPv6 from registered MACs pass to any destination (`ipv6: pass`). By default IPv6 is dropped.
	PassIPv6 bool

	// OpenDHCP lets a client whose MAC has no binding broadcast requests to DHCP servers, from 0.0.0.0 (`dhcp: open`), so
	// that it gets its first lease, and by that its binding. By default only registered MACs may.
	OpenDHCP bool

	// HostTunnels says that the host has VXLAN tunnels to other hosts, of whatever network. Then guests' VXLAN to the host is
	// dropped: by the tunnel, a guest could send in the name of other hosts' guests.
	HostTunnels bool

	// Gateway is the address of the guests' gateway; the zero Addr for none. Its owner may receive IPv4 to any address.
	Gateway netip.Addr

	// Host lists the IPv4 addresses for which the host's kernel answers. IPv6 addresses in it are ignored.
	Host []netip.Addr
}

// PortKind is the kind of sender behind a port.
type PortKind uint8

// The kinds of ports.
const (
	GuestPort PortKind = iota // an untrusted guest
	Uplink                    // hosts outside: senders are not checked, and replies pass
	Host                      // the host's own network stack, or that of a sidecar's guest
)

// Ingress says how a frame enters the fabric.
type Ingress struct {
	Port        string // the name of the interface
	Kind        PortKind
	Trunk       bool // frames on the port may have one VLAN tag
	RateLimited bool // the port is over its rate limit, as measured by the caller

	// AllowList compares frames other than ARP with the registry too, as the full guard does. Otherwise they pass.
	AllowList bool

	// HostMAC, unless zero, is the host's own MAC on the bridge. IPv4 to it passes the allow-list even if it is not
	// registered. A frame from it is dropped there.
	HostMAC registry.MAC

	// CarriesHost says that the host's own stack sends by the port, from HostMAC. It asks from any address that the host
	// has, also from one of another interface (Linux, arp_announce 0), so its senders are not compared with the registry.
	CarriesHost bool

	// Source, unless zero, replaces the owner's MAC as the Ethernet source of answers. Otherwise a switch between the
	// fabric and the guests would learn from an answer that the owner is where the fabric is.
	Source registry.MAC

	// Owner, unless zero, is the only MAC whose addresses are answered for on the port. Other hosts on the segment answer
	// for their own addresses.
	Owner registry.MAC
}

// isHost reports whether mac is the sender of the host's own stack at the port.
func (in *Ingress) isHost(mac registry.MAC) bool {
	return in.CarriesHost && mac == in.HostMAC && mac != registry.MAC{}
}

// Responder decides about the frames of one network. It is immutable and safe for concurrent use.
type Responder struct {
	registry *registry.Registry
	policy   Policy
	host     []registry.IPv4
	gateway  registry.MAC // zero for none
}

// New returns a Responder that answers from bindings.
func New(bindings *registry.Registry, policy Policy) *Responder {
	r := &Responder{registry: bindings, policy: policy}
	if b, ok := bindings.Lookup(policy.Gateway); ok {
		r.gateway = b.MAC
	}
	for _, addr := range policy.Host {
		if addr = addr.Unmap(); addr.Is4() {
			r.host = append(r.host, registry.IPv4Of(addr))
		}
	}
	return r
}

// Registry returns the registry that r answers from.
func (r *Responder) Registry() *registry.Registry { return r.registry }

// Decide decides about one Ethernet frame, without its checksum and with its VLAN tags in place. A frame that is not ARP
// may be cut off after 256 bytes. If the verdict's action is Reply, the answer is in out[:Verdict.Len]: 60 bytes, or 64
// with a trunk's tag. out must be at least [MaxReplyLen] bytes long and must not overlap frame, which is not changed.
// Decide accepts any bytes and allocates nothing.
func (r *Responder) Decide(in Ingress, frame, out []byte) Verdict {
	var h Header
	switch {
	case !h.parse(frame):
		return drop(Malformed)
	// ARP never reaches the allow-list, not even malformed: nothing that a stack accepts as ARP may pass as other
	// traffic.
	case h.carriesARP(frame[h.Len:]):
		return r.decideARP(&in, &h, frame, out)
	case in.AllowList && in.Kind != GuestPort:
		return r.decideOutside(&in, &h, frame[h.Len:])
	case in.AllowList:
		return r.decideIP(&in, &h, frame[h.Len:])
	}
	return Verdict{Action: Pass, Reason: NotARP}
}

func drop(reason Reason) Verdict { return Verdict{Action: Drop, Reason: reason} }
