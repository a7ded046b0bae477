package allocate

import (
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// pool returns the addresses that a request without an address is fulfilled from.
func (s *State) pool(from config.Range) (config.Range, error) {
	n := s.Network
	switch {
	case from != (config.Range{}):
		if n.Subnet.IsValid() && !(n.Subnet.Contains(from.First) && n.Subnet.Contains(from.Last)) {
			return from, refuse(Invalid, "%s is outside the network's subnet %s", from, n.Subnet)
		}
		return from, nil
	case n.Allocation.From != (config.Range{}):
		return n.Allocation.From, nil
	case n.Subnet.IsValid():
		return config.ParseRange(n.Subnet.String())
	}
	return from, refuse(Invalid, "network %s has neither a subnet nor allocation.from to take an address from; "+
		"give an address or a range", n.Name)
}

// next returns the first free address of a range after s.After, and begins again at its start.
func (s *State) next(in config.Range) (netip.Addr, bool) {
	first, last := registry.IPv4Of(in.First), registry.IPv4Of(in.Last)
	start := first
	if in.Contains(s.After) && s.After != in.Last {
		start = registry.IPv4Of(s.After) + 1
	}
	if ip, ok := s.firstFree(start, last); ok {
		return ip.Addr(), true
	}
	if start == first {
		return netip.Addr{}, false
	}
	ip, ok := s.firstFree(first, start-1)
	return ip.Addr(), ok
}

func (s *State) firstFree(first, last registry.IPv4) (registry.IPv4, bool) {
	for ip := first; ; ip++ {
		end, isTaken := s.taken(ip)
		if !isTaken {
			return ip, true
		}
		if ip = end; ip >= last {
			return 0, false
		}
	}
}

// taken reports whether an address can't be given, and the last address for which the same is known.
func (s *State) taken(ip registry.IPv4) (end registry.IPv4, isTaken bool) {
	addr := ip.Addr()
	if b, ok := s.Network.Registry.Lookup(addr); ok { // a narrower binding within a range is taken, too
		return registry.IPv4Of(b.Last), true
	}
	for _, r := range s.Network.Allocation.Reserved {
		if r.Contains(addr) {
			return registry.IPv4Of(r.Last), true
		}
	}
	_, isAllocated := s.get(addr)
	_, isHeld := s.held(addr)
	isTaken = slices.Contains(s.Host.Addresses, addr) || isAllocated || isHeld || addr == s.Network.Gateway || s.Network.CheckAddress(addr) != nil ||
		(store.Allocation{Address: addr, MAC: config.DenyMAC}).Check() != nil
	return ip, isTaken
}

// CheckPool returns an error if the network has nothing to take addresses from.
func (s *State) CheckPool() error {
	if err := s.checkNetwork(); err != nil {
		return err
	}
	_, err := s.pool(config.Range{})
	return err
}

// Free yields the runs of addresses that a request without an address may get.
// There are none if CheckPool has an error.
func (s *State) Free(yield func(config.Range) bool) {
	in, err := s.pool(config.Range{})
	if err != nil {
		return
	}
	last := registry.IPv4Of(in.Last)
	for ip := registry.IPv4Of(in.First); ; ip++ {
		first, ok := s.firstFree(ip, last)
		if !ok {
			return
		}
		ip = first
		for ip < last {
			if _, isTaken := s.taken(ip + 1); isTaken {
				break
			}
			ip++
		}
		if !yield(config.Range{First: first.Addr(), Last: ip.Addr()}) || ip == last {
			return
		}
	}
}

// newMAC makes a MAC for an address that nobody in the network has. The first choice is the number of the address in
// its subnet, so that an address usually gets the same MAC again.
func (s *State) newMAC(addr netip.Addr) (registry.MAC, error) {
	pattern := s.Network.Allocation.MAC
	n := uint64(registry.IPv4Of(addr))
	if s.Network.Subnet.IsValid() {
		n -= uint64(registry.IPv4Of(s.Network.Subnet.Addr()))
	}
	for i := range pattern.Len() {
		if mac := pattern.MAC(n + i); !s.hasMAC(mac) {
			return mac, nil
		}
	}
	return registry.MAC{}, refuse(Exhausted, "all MACs like %s are in use in network %s; write more bytes as * in "+
		"networks.%s.allocation.mac, or give a MAC", pattern, s.Network.Name, s.Network.Name)
}
