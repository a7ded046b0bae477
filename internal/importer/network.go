package importer

import (
	"net/netip"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// A network is one network of a file, with its hosts and the properties that the file states. The others are zero.
type network struct {
	registry.Origin
	name, bridge string
	vlan         int // of the bridge; 0 for untagged frames
	subnets      []subnet
	hosts        []Lease
	guests       []guestPort
	routes       []route
	isSelectable bool // files of this format have hosts of several bridges, and --bridge selects those of one
}

// A subnet is one subnet of a network. The gateway is the zero Addr if the file does not state it.
type subnet struct {
	registry.Origin
	prefix  netip.Prefix
	gateway netip.Addr
}

// isStated reports whether a file states the network itself, or else something in it.
func (n *network) isStated() bool {
	return n.name != "" && !n.isSelectable || len(n.hosts)+len(n.subnets)+len(n.guests) > 0
}

// inNetwork adds a network, and what read adds belongs to it.
func (s *source) inNetwork(line int, name, bridge string, read func()) {
	n := &network{Origin: s.at(line), name: name, bridge: bridge}
	s.networks = append(s.networks, n)
	s.within(n, func() {
		if bridge == "" && s.bridge == "" {
			s.ignore(line, describe("network", name), "the network has no bridge of its own; "+
				"name the guests' bridge with --bridge")
		}
		read()
	})
}

// within makes what read adds belong to a network.
func (s *source) within(n *network, read func()) {
	before := s.current
	s.current = n
	read()
	s.current = before
}

// onBridge returns the network of the hosts on a bridge, or in one of its VLANs, in a file that has hosts of several
// bridges and no names of networks. bridge may be empty, and vlan 0.
func (s *source) onBridge(line int, bridge string, vlan int) *network {
	for _, n := range s.networks {
		if n.bridge == bridge && n.vlan == vlan {
			return n
		}
	}
	n := &network{Origin: s.at(line), bridge: bridge, vlan: vlan, isSelectable: true}
	s.networks = append(s.networks, n)
	return n
}

// named returns the network of a name, in a file that has hosts of several networks.
func (s *source) named(line int, name string) *network {
	for _, n := range s.networks {
		if n.name == name && n.isSelectable {
			return n
		}
	}
	n := &network{Origin: s.at(line), name: name, isSelectable: true}
	s.networks = append(s.networks, n)
	return n
}

// addSubnet records a subnet of the current network.
func (s *source) addSubnet(line int, prefix netip.Prefix, gateway netip.Addr) {
	s.current.subnets = append(s.current.subnets, subnet{s.at(line), prefix, gateway})
}
