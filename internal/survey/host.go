package survey

import (
	"net/netip"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// addHost adds the host's own addresses on the bridge, the gateway, and the host's neighbours.
func (s *Survey) addHost(f *findings, snapshot link.Snapshot) error {
	own, ok := snapshot.Find(s.Bridge)
	if s.VLAN != 0 {
		own, ok = snapshot.HostIn(s.Bridge, s.VLAN)
	}
	if !ok || len(own.MAC) != len(registry.MAC{}) {
		return nil
	}
	prefixes, err := link.Prefixes(own)
	if err != nil {
		return err
	}
	s.subnet = onlySubnet(prefixes)
	for _, p := range prefixes {
		f.add(p.Addr(), finding{
			mac: registry.MAC(own.MAC), name: "host", from: []string{"the host's own address on " + own.Name}, isHost: true,
		})
	}
	if err := s.chooseGateway(own, prefixes); err != nil {
		return err
	}
	return s.addNeighbors(f, own)
}

// onlySubnet returns the subnet of addresses, or the zero Prefix if they have none or several.
func onlySubnet(prefixes []netip.Prefix) netip.Prefix {
	subnets := map[netip.Prefix]bool{}
	for _, p := range prefixes {
		if !p.IsSingleIP() {
			subnets[p.Masked()] = true
		}
	}
	if len(subnets) != 1 {
		return netip.Prefix{}
	}
	for only := range subnets {
		return only
	}
	return netip.Prefix{}
}

// elsewhere is an address that hosts reach by their default route. Nothing is sent to it.
var elsewhere = netip.MustParseAddr("1.1.1.1")

// chooseGateway finds the guests' gateway: the host's own router if that is behind the bridge, or else the host if it
// forwards packets.
func (s *Survey) chooseGateway(own link.Link, prefixes []netip.Prefix) error {
	hop, ok, err := link.NextHopTo(elsewhere)
	switch {
	case err != nil:
		return err
	case ok && hop.Index == own.Index && hop.Addr.IsValid():
		s.gateway, s.router = hop.Addr, "the host's default route leads by it"
	case len(prefixes) > 0 && link.Forwards(own):
		s.gateway, s.router = prefixes[0].Addr(), "the host, which forwards IPv4 from "+own.Name
	}
	if s.subnet.IsValid() && !s.subnet.Contains(s.gateway) {
		s.gateway = netip.Addr{}
	}
	return nil
}

// addNeighbors adds the host's neighbours on the bridge.
func (s *Survey) addNeighbors(f *findings, own link.Link) error {
	neighbors, err := link.OpenNeighbors()
	if err != nil {
		return err
	}
	defer neighbors.Close()
	learned, err := neighbors.Learned(own.Index)
	for addr, mac := range learned {
		if len(mac) == len(registry.MAC{}) && registry.MAC(mac).IsUnicast() && s.isInside(addr) {
			f.add(addr, finding{mac: registry.MAC(mac), from: []string{"neighbour of the host"}})
		}
	}
	return err
}

// isInside reports whether a host of the subnet can have an address. It is true for all addresses if the subnet is not
// known.
func (s *Survey) isInside(addr netip.Addr) bool {
	p := s.subnet
	if !p.IsValid() || p.Bits() >= 31 {
		return !p.IsValid() || p.Contains(addr)
	}
	return p.Contains(addr) && addr != p.Addr() && p.Contains(addr.Next())
}
