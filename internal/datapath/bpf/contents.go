package bpf

import (
	"iter"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// contents are what a plan wants in the maps. The registries are apart from the rest, because they may be large: only
// what differs is written.
type contents struct {
	ports      map[uint32]guardPort // by ifindex
	host       map[guardAddress]uint8
	locations  map[guardGuest]guardLocation
	registries map[uint32]*registry.Registry // by network

	detours []string // why frames of some ports cross the bridge; sorted, each once
}

// numbers stand for names in the maps. A number is never given to another name.
type numbers map[string]uint32

// of returns the number of a name, from 1.
func (n numbers) of(name string) uint32 {
	if n[name] == 0 {
		n[name] = uint32(len(n)) + 1
	}
	return n[name]
}

// ownerOf returns a binding's owner.
func (n numbers) ownerOf(b registry.Binding) guardOwner {
	owner := guardOwner{Mac: b.MAC}
	if b.Port != "" {
		owner.Port = n.of(b.Port)
	}
	return owner
}

// isAnswered reports whether the program may answer for a network: its guests' ARP goes to the fabric, and nowhere else.
func isAnswered(n datapath.Network) bool { return n.ARP == datapath.HandOver && n.Registry != nil }

// contentsOf returns what a plan wants in the maps.
func (d *Datapath) contentsOf(p datapath.Plan, s link.Snapshot, around detour) contents {
	c := contents{
		ports: map[uint32]guardPort{}, host: map[guardAddress]uint8{}, locations: map[guardGuest]guardLocation{},
		registries: map[uint32]*registry.Registry{},
	}
	for _, i := range p.Interfaces {
		d.addInterface(&c, i.Network, s, false)
	}
	for _, sidecar := range p.Sidecars {
		d.addSidecar(&c, sidecar, s)
	}
	for _, n := range p.Networks {
		if !isAnswered(n) {
			continue
		}
		number := d.add(&c, n)
		around := around
		if n.ThroughBridge {
			around = always("network " + n.Name + " has the policy forward: bridge")
		}
		for _, name := range n.Guests {
			// A guest port that is in no VLAN at the moment gets no answers.
			if port, ok := s.Find(name); ok && (n.VLAN == 0 || port.VLAN == n.VLAN) {
				c.ports[uint32(port.Index)] = d.portOf(n, name, number, around(name) == "")
				c.addDetour(n, around(name))
			}
		}
		addLocations(c.locations, n, number, s, around)
	}
	slices.Sort(c.detours)
	c.detours = slices.Compact(c.detours)
	return c
}

// addInterface adds a network on an interface, which may be that of a sidecar.
func (d *Datapath) addInterface(c *contents, n datapath.Network, s link.Snapshot, isSidecar bool) {
	n.AllowList = datapath.AllowAll // guests on one segment have no location
	number := d.add(c, n)
	for _, name := range n.Guests {
		if l, ok := s.Find(name); ok {
			port := d.portOf(n, name, number, false)
			port.HasHost, port.IsSidecar = true, isSidecar
			copy(port.Source[:], l.MAC) // or else a switch would find the owners here
			c.ports[uint32(l.Index)] = port
		}
	}
}

// add adds a network without its ports, and returns its number.
func (d *Datapath) add(c *contents, n datapath.Network) (number uint32) {
	number = d.networks.of(n.Name)
	c.registries[number] = n.Registry
	for _, addr := range n.HostAddresses {
		c.host[addressKey(number, addr)] = 1
	}
	return number
}

// addDetour notes why a guest port's frames cross the bridge. Where there are no locations, they always do.
func (c *contents) addDetour(n datapath.Network, why string) {
	if why != "" && why != notForwarding && n.HasLocations() {
		c.detours = append(c.detours, why)
	}
}

func (d *Datapath) portOf(n datapath.Network, name string, network uint32, isDirect bool) guardPort {
	port := guardPort{Network: network, Number: d.ports.of(name), DropsSelfProbes: n.DropsSelfProbes}
	if n.RateLimit > 0 {
		port.Interval = uint32(time.Second) / n.RateLimit
	}
	if n.HasLocations() {
		port.Locates, port.Forwards = true, isDirect
	}
	return port
}

// addLocations adds the locations of a network. It leaves out those that no frame from an address of the MAC has shown
// yet, so that the fabric gets to see one.
func addLocations(to map[guardGuest]guardLocation, n datapath.Network, network uint32, s link.Snapshot, around detour) {
	isGuest := map[string]bool{}
	for _, name := range n.Guests {
		isGuest[name] = true
	}
	isHost := map[registry.MAC]bool{}
	for _, mac := range n.Host {
		isHost[mac] = true
	}
	for mac, at := range n.Locations {
		port, ok := s.Find(at.Port)
		if !ok || at.MACOnly || isHost[mac] {
			continue
		}
		// The guest ports of a network in a VLAN have the VLAN's frames untagged. An uplink may not.
		hasSameTag := !s.FiltersVLANs(n.Bridge) || n.VLAN != 0 && isGuest[at.Port]
		to[guardGuest{Network: network, Mac: mac}] = guardLocation{
			Port: uint32(port.Index), Longest: uint32(port.MTU) + headerLen,
			IsGateway: mac == n.Gateway, IsDirect: hasSameTag && port.IsUp && around(at.Port) == "",
		}
	}
}

// headerLen is what a frame may have beside its payload: an Ethernet header, and a tag, as bridges allow it.
const headerLen = 14 + 4

// needed returns the sizes of maps that hold the contents.
func (c contents) needed() sizes {
	s := sizes{ports: uint32(len(c.ports)), host: uint32(len(c.host)), locations: uint32(len(c.locations))}
	for _, r := range c.registries {
		for b := range r.Owners() {
			if b.First == b.Last {
				s.bindings++
				continue
			}
			for range prefixes(b.First, b.Last) {
				s.ranges++
			}
		}
	}
	return s
}

func addressKey(network uint32, addr netip.Addr) guardAddress {
	return guardAddress{Network: network, Ip: addr.As4()}
}

// prefixes yields the fewest prefixes that have the IPv4 addresses from first to last, and no others.
func prefixes(first, last netip.Addr) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		at, end := uint64(registry.IPv4Of(first)), uint64(registry.IPv4Of(last))
		for at <= end {
			// As large as the alignment of at and the rest of the addresses allow.
			size := min(bits.TrailingZeros64(at|1<<32), bits.Len64(end-at+1)-1)
			if !yield(netip.PrefixFrom(registry.IPv4(at).Addr(), 32-size)) {
				return
			}
			at += 1 << size
		}
	}
}

func prefixKey(network uint32, p netip.Prefix) guardPrefix {
	return guardPrefix{Length: 32 + uint32(p.Bits()), First: addressKey(network, p.Addr())}
}
