package allocate

import (
	"net/netip"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// A State has what a decision depends on.
type State struct {
	Network *config.Network    // its registry is the one in force: the configuration's bindings, then the store's
	File    *registry.Registry // the configuration's bindings only
	Table   *store.Table
	Pending []store.Change // changes that were decided, and are not in the table yet
	Now     time.Time
	After   netip.Addr // the address that was given last; the search goes on after it
	Host    Host       // the host's own stack in the network

	IsRemoved bool // the configuration does not have the network: what is allocated there can only be freed
}

// Host is this machine's own stack in a network.
type Host struct {
	Interface string
	MAC       registry.MAC
	Addresses []netip.Addr
}

// get returns the allocation of an address.
func (s *State) get(addr netip.Addr) (store.Allocation, bool) {
	for _, c := range slices.Backward(s.Pending) {
		if c.Network == s.Network.Name && c.Address == addr {
			return c.Allocation, !isEnd(c)
		}
	}
	return s.Table.Get(s.Network.Name, addr)
}

// named returns the allocation with a name.
func (s *State) named(name string) (store.Allocation, bool) {
	for _, c := range slices.Backward(s.Pending) {
		if c.Network == s.Network.Name && c.Name == name {
			if a, ok := s.get(c.Address); ok && a.Name == name {
				return a, true
			}
		}
	}
	a, ok := s.Table.Named(s.Network.Name, name)
	if !ok {
		return a, false
	}
	a, ok = s.get(a.Address) // it may be freed or renamed by a pending change
	return a, ok && a.Name == name
}

// held returns how an address is held.
func (s *State) held(addr netip.Addr) (store.Held, bool) {
	for _, c := range slices.Backward(s.Pending) {
		if c.Network == s.Network.Name && c.Address == addr {
			return store.Held{MAC: c.MAC, Since: c.At}, isEnd(c) && s.isHeldSince(c.At)
		}
	}
	h, ok := s.Table.Held(s.Network.Name, addr)
	return h, ok && s.isHeldSince(h.Since)
}

func (s *State) isHeldSince(since time.Time) bool { return s.heldUntil(since).After(s.Now) }

func (s *State) heldUntil(since time.Time) time.Time { return since.Add(s.Network.Allocation.Hold) }

// isEnd reports whether a change frees an address.
func isEnd(c store.Change) bool { return c.Kind == store.Free || c.Kind == store.Expire }

// hasMAC reports whether a binding, an allocation or a held address has a MAC.
func (s *State) hasMAC(mac registry.MAC) bool {
	return s.Network.Registry.IsRegistered(mac) || s.File.IsRegistered(mac) || s.Table.HasMAC(s.Network.Name, mac) ||
		slices.ContainsFunc(s.Pending, func(c store.Change) bool { return c.Network == s.Network.Name && c.MAC == mac })
}
