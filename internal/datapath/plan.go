package datapath

import (
	"net"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// Plan says which ports the kernel guards. A port has the name of its interface.
type Plan struct {
	Networks   []Network // the networks on bridges
	Sidecars   []Sidecar // sorted by interface
	Interfaces []Interface
}

// Network says how the ports of one network are guarded.
type Network struct {
	Name    string
	Bridge  string
	VLAN    uint16   // VLAN of the bridge; 0 for the whole bridge
	Guests  []string // ports with a guest behind them
	Uplinks []string // ports that lead to another segment; none with Steer
	TAP     string   // the fabric's TAP; only with Steer

	ARP       ARPMode
	SeesHost  bool // with Observe: hand over the ARP of the host's own stack, too
	AllowList AllowList
	RateLimit uint32 // ARP frames per second that a guest port may send; 0 for no limit

	// The allow-list admits IPv4 between the registry's bindings, and from these to the host and the gateway.
	Registry *registry.Registry
	Gateway  registry.MAC   // the MAC of the guests' gateway, which receives for any address; zero for none
	Host     []registry.MAC // the host's MACs in the network
	PassIPv6 bool           // admit IPv6 of registered MACs, too

	// OpenDHCP admits the broadcasts of DHCP clients whose MAC has no binding at all, too, to the host and uplinks only, as
	// those of registered MACs: a client's own request (chaddr is the source, giaddr 0) from 0.0.0.0, port 68, to
	// 255.255.255.255, port 67, within the same limit of the port. A MAC that only has bindings of other ports stays dropped.
	OpenDHCP bool

	// HostTunnels keeps VXLAN of guests from the host, which has tunnels to other hosts.
	HostTunnels bool

	// DropsSelfProbes leaves a guest's probe for its own address unanswered. HostAddresses are those for which the host's
	// own stack answers. Both matter only to a datapath that answers by itself.
	DropsSelfProbes bool
	HostAddresses   []netip.Addr

	// UnknownToUplinks admits IPv4 to unregistered MACs, too, and forwards it to uplinks only.
	UnknownToUplinks bool

	// ThroughBridge makes all frames between guests cross the bridge. Otherwise a datapath may send them past it, where no
	// other program looks at what crosses it.
	ThroughBridge bool

	// Locations has the ports, guest ports and uplinks, behind which registered MACs are, as far as they are known. Only
	// networks with HasLocations have any.
	Locations map[registry.MAC]Location
}

// Location is the port behind which a registered MAC is. The bridge forwards frames for the MAC to that port only.
type Location struct {
	Port  string
	VLAN  uint16 // VLAN of the MAC's frames in the bridge; 0 if the bridge does not filter VLANs
	Fixed bool   // bindings of the MAC name the port: no frame moves the MAC

	// MACOnly means that no frame from an address of the MAC has shown the location yet. The kernel goes on handing over
	// samples of its frames.
	MACOnly bool
}

// ARPMode says what the kernel does with guests' ARP.
type ARPMode int

// The modes for ARP.
const (
	HandOver ARPMode = iota // hand it to the fabric, and drop it
	Observe                 // hand a copy to the fabric, and forward it
	Steer                   // forward it to the fabric's TAP in the same bridge, and to no other port; with Enforce, hand over ARP that is not its sender's
)

// AllowList says what the kernel does with the guests' frames that are not ARP.
type AllowList int

// The ways to use the allow-list.
const (
	AllowAll AllowList = iota // forward all of them
	Report                    // forward all of them; count and sample those that are not on the allow-list
	Enforce                   // drop, count and sample those that are not on the allow-list
)

// Sidecar says how the kernel guards an interface of the network namespace that the fabric runs in. The namespace is
// the guest.
type Sidecar struct {
	Interface string
	Index     int              // ifindex, which tells an interface that was deleted and made again from the old one
	MAC       net.HardwareAddr // MAC of the interface
	Addresses []Range          // addresses that the guest has; disjoint, ascending
	Routes    []Range          // addresses that it may send IPv4 from beside these, as a router; disjoint, ascending
	Observed  bool             // hand over copies of ARP, and forward everything
	ARPOnly   bool             // drop only ARP that is not the fabric's; forward everything else
	PassIPv6  bool             // forward IPv6, too; without effect if ARPOnly is true
	RateLimit uint32           // ARP frames per second, in each direction; 0 for no limit

	// Network matters only to a datapath that answers by itself, and of it only Name, Guests, which has the interface alone,
	// ARP, RateLimit, Registry, DropsSelfProbes and HostAddresses.
	Network Network

	// Answerer is the ifindex of the device at whose egress a program answers the guest's own requests: the guard sends a copy
	// of each there, with the interface's ifindex as its priority, and drops the request. The answer enters by the interface
	// with the copy's mark. 0 if the fabric answers them. A datapath that answers by itself sets it for the one beneath.
	Answerer int
}

// Interface is an interface of the host behind which guests are. Nothing is guarded there; a datapath that answers by itself
// answers these guests, too.
type Interface struct {
	Network              // only Name, Guests, which has the interface alone, RateLimit, Registry, DropsSelfProbes and HostAddresses matter
	Socket  *wire.Packet // by which the fabric reads the ARP that arrives there; see wire.OpenInterface
}

// Range is the IPv4 addresses from First to Last, inclusive.
type Range struct{ First, Last netip.Addr }

// IsolatesARP reports whether there is a network in which guests' ARP does not cross the bridge.
func (p Plan) IsolatesARP() bool { return slices.ContainsFunc(p.Networks, Network.IsolatesARP) }

// IsolatesARP reports whether guests' ARP does not cross the bridge.
func (n Network) IsolatesARP() bool { return n.ARP != Observe }

// IsFull reports whether only frames that the registry allows cross the bridge.
func (n Network) IsFull() bool { return n.IsolatesARP() && n.AllowList == Enforce }

// HasLocations reports whether the fabric, and not the bridge, knows which MACs are behind the guest ports. The bridge then
// learns nothing from guests, and floods nothing to a guest port with a location.
func (n Network) HasLocations() bool { return n.IsFull() && n.ARP == HandOver }

// LocatedGuests returns the guest ports behind which a registered MAC is known to be.
func (n Network) LocatedGuests() []string {
	located := map[string]bool{}
	for _, l := range n.Locations {
		located[l.Port] = true
	}
	return slices.DeleteFunc(slices.Clone(n.Guests), func(port string) bool { return !located[port] })
}

// Admitted returns the guest ports from which only frames that the allow-list admits leave the guard. Ports of networks
// with a TAP are not among them: there, ARP on its way to the TAP leaves it, too.
func (p Plan) Admitted() []string {
	return p.GuestsOf(func(n Network) bool { return n.AllowList == Enforce && n.ARP == HandOver })
}

// GuestsOf returns the guest ports of the networks for which match returns true.
func (p Plan) GuestsOf(match func(Network) bool) []string {
	var ports []string
	for _, n := range p.Networks {
		if match(n) {
			ports = append(ports, n.Guests...)
		}
	}
	return ports
}

// Uplinks returns the uplinks of all networks.
func (p Plan) Uplinks() []string {
	var ports []string
	for _, n := range p.Networks {
		ports = append(ports, n.Uplinks...)
	}
	return ports
}

// TAPs returns the fabric's TAPs.
func (p Plan) TAPs() []string {
	var ports []string
	for _, n := range p.Networks {
		if n.TAP != "" {
			ports = append(ports, n.TAP)
		}
	}
	return ports
}
