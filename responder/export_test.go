package responder

import "net/netip"

// LookupOwner is the lookup that Handle uses.
func (r *Registry) LookupOwner(addr netip.Addr) (m MAC, port string, ok bool) {
	bound := r.lookup(toIPv4(addr))
	if bound == nil {
		return MAC{}, "", false
	}
	return bound.mac, r.ports[bound.port], true
}

// Leaves returns how many owners the registry keeps for Handle.
func (r *Registry) Leaves() int { return len(r.owners) }
