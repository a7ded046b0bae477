package guard

import (
	"slices"

	"github.com/arpfabric/arpfabric/responder"
)

// Plan says what is guarded. Ports are named as the interfaces are.
type Plan struct {
	Networks []Network
}

// Network says how the ports of one network are guarded.
type Network struct {
	Name    string
	Bridge  string
	VLAN    uint16   // of the bridge; 0 for all of it
	Guests  []string // ports with a guest behind them
	Uplinks []string // ports that lead elsewhere; not with Steer
	TAP     string   // the fabric's own; with Steer only

	ARP       ARP
	HearsHost bool // with Observe: the fabric gets to see what the host's own stack asks, too
	AllowList AllowList
	RateLimit uint32 // ARP frames that a guest port may send in a second; 0 for any number

	// What the allow-list lets through: IPv4 between the registry's bindings, and to the host.
	Registry *responder.Registry
	Host     []responder.MAC // the host's own in the network
	PassIPv6 bool            // and IPv6 of registered MACs
}

// ARP is what becomes of guests' ARP.
type ARP int

// The ways of ARP.
const (
	HandOver ARP = iota // it is handed to the fabric and goes nowhere
	Observe             // it is handed to the fabric and goes on its way
	Steer               // it goes out of the fabric's TAP in the same bridge, and nowhere else
)

// AllowList is what becomes of everything else that guests send.
type AllowList int

// The ways of what is not on the allow-list.
const (
	AllowAll AllowList = iota // nothing is looked at
	Report                    // it is counted, sampled, and goes on its way
	Enforce                   // it is counted, sampled, and goes nowhere
)

// IsEmpty reports whether p guards nothing.
func (p Plan) IsEmpty() bool {
	return !slices.ContainsFunc(p.Networks, func(n Network) bool { return len(n.Guests)+len(n.Uplinks) > 0 })
}

// Admitted returns the ports of which the bridge learns from frames alone that an allow-list admits: with a TAP, it
// learns from ARP, too.
func (p Plan) Admitted() []string {
	return p.guests(func(n Network) bool { return n.AllowList == Enforce && n.ARP == HandOver })
}

// KeepsApart reports whether there is a network whose guests' ARP doesn't cross the bridge.
func (p Plan) KeepsApart() bool { return slices.ContainsFunc(p.Networks, Network.keepsApart) }

// keepsApart reports whether guests' ARP doesn't cross the bridge.
func (n Network) keepsApart() bool { return n.ARP != Observe }

// guests returns the guest ports of the networks that fit.
func (p Plan) guests(fits func(Network) bool) []string {
	var ports []string
	for _, n := range p.Networks {
		if fits(n) {
			ports = append(ports, n.Guests...)
		}
	}
	return ports
}

func (p Plan) uplinks() []string {
	var ports []string
	for _, n := range p.Networks {
		ports = append(ports, n.Uplinks...)
	}
	return ports
}

func (p Plan) taps() []string {
	var ports []string
	for _, n := range p.Networks {
		if n.TAP != "" {
			ports = append(ports, n.TAP)
		}
	}
	return ports
}
