package daemon

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// An outsideBinding is an allocation that is not in force.
type outsideBinding struct {
	store.Allocation
	reason string
}

// A merger has a configuration with the bindings of the sources and the allocations, before it is in force.
type merger struct {
	config  *config.Config
	files   map[string]*registry.Registry
	sources map[sourceKey]*followed
	sourced map[string]sourced
	bases   map[string]*registry.Registry
	outside map[string]map[netip.Addr]outsideBinding
}

// merge returns a configuration with the bindings of its sources, and with the allocations of the store. Conflicts are no
// errors: the configuration wins, then the sources in their order.
func (a *allocations) merge(ctx context.Context, c *config.Config) (*merger, error) {
	merged := *c
	merged.Networks = slices.Clone(c.Networks)
	m := &merger{
		config: &merged, files: map[string]*registry.Registry{}, sources: a.sources.prepare(ctx, c), sourced: map[string]sourced{},
		bases: map[string]*registry.Registry{}, outside: map[string]map[netip.Addr]outsideBinding{},
	}
	for i := range merged.Networks {
		if err := m.addNetwork(a, &merged.Networks[i]); err != nil {
			a.sources.forget(m.sources)
			return nil, err
		}
	}
	return m, nil
}

// addNetwork merges the bindings of one network.
func (m *merger) addNetwork(a *allocations, n *config.Network) (err error) {
	file := n.Registry
	m.files[n.Name] = file
	m.sourced[n.Name] = sourcedOf(n, file, m.sources)
	sourced := m.sourced[n.Name].bindings()
	base, err := withBindings(file, slices.Values(sourced), len(sourced))
	if err != nil {
		return fmt.Errorf("adding the bindings of the sources of network %s: %w", n.Name, err)
	}
	m.bases[n.Name] = base
	if n.Registry, m.outside[n.Name], err = a.withAllocations(n, base); err != nil {
		return fmt.Errorf("adding the allocations of network %s: %w", n.Name, err)
	}
	return nil
}

// take makes what was merged the current state, once the configuration is in force.
func (a *allocations) take(m *merger) {
	before, conflicts := a.outside, a.sourced
	a.files, a.sourced, a.bases, a.outside = m.files, m.sourced, m.bases, m.outside
	a.sources.replace(m.sources, a.sourceChanged)
	a.summarize()
	for _, network := range slices.Sorted(maps.Keys(m.sourced)) {
		a.logConflicts(network, conflicts[network])
	}
	a.logOutside(before)
}

// withAllocations returns the registry of a network with its allocations, and those that can't be in force. There may be
// a million, so nothing keeps all of them as bindings.
func (a *allocations) withAllocations(
	n *config.Network, base *registry.Registry,
) (*registry.Registry, map[netip.Addr]outsideBinding, error) {
	if a.store == nil {
		return base, nil, nil
	}
	outside := map[netip.Addr]outsideBinding{}
	now := a.clock.Now()
	inForce := func(yield func(registry.Binding) bool) {
		for one := range a.store.Table().All(n.Name) {
			if reason := reasonOutside(n, base, one); reason != "" {
				outside[one.Address] = outsideBinding{one, reason}
			} else if !hasExpired(one, now) && !yield(one.Binding()) {
				return
			}
		}
	}
	next, err := withBindings(base, inForce, a.store.Table().Len(n.Name))
	return next, outside, err
}

func hasExpired(a store.Allocation, now time.Time) bool {
	return !a.Expires.IsZero() && !a.Expires.After(now)
}

// reasonOutside says why an allocation can't be in force, or "".
func reasonOutside(n *config.Network, base *registry.Registry, a store.Allocation) string {
	if b, ok := base.Lookup(a.Address); ok {
		return fmt.Sprintf("%s binds the address to %s, and comes first", b.Origin, b.MAC)
	}
	if err := n.CheckAddress(a.Address); err != nil {
		return err.Error()
	}
	if a.Port == "" {
		return ""
	}
	if err := n.CheckPort(a.Port); err != nil {
		return err.Error()
	}
	return ""
}

// withBindings returns a registry with more bindings, at most most. If there are few of them, it shares most of its
// memory.
func withBindings(r *registry.Registry, more iter.Seq[registry.Binding], most int) (*registry.Registry, error) {
	const few = 1000
	switch {
	case most == 0:
		return r, nil
	case most <= few:
		return r.Edit(nil, slices.Collect(more))
	}
	return registry.New(func(yield func(registry.Binding) bool) {
		for _, bindings := range []iter.Seq[registry.Binding]{r.All(), more} {
			for b := range bindings {
				if !yield(b) {
					return
				}
			}
		}
	})
}

// logOutside logs the allocations that are not in force and were before, or that nobody has been told of.
func (a *allocations) logOutside(before map[string]map[netip.Addr]outsideBinding) {
	const most = 10 // of a network
	for _, network := range slices.Sorted(maps.Keys(a.outside)) {
		var news []outsideBinding
		for addr, one := range a.outside[network] {
			if before[network][addr] != one {
				news = append(news, one)
			}
		}
		slices.SortFunc(news, func(x, y outsideBinding) int { return x.Address.Compare(y.Address) })
		for _, one := range news[:min(most, len(news))] {
			a.log.Warn("an allocation is not in force", "network", network, "address", one.Address, "mac", one.MAC,
				"origin", one.Binding().Origin, "reason", one.reason)
		}
		if len(news) > most {
			a.log.Warn("more allocations are not in force; see arpfabric bindings", "network", network, "allocations", len(news)-most)
		}
	}
	a.logUnknownNetworks()
}

// logUnknownNetworks logs the networks of the store that the configuration does not have. In a shared store they are other
// hosts'.
func (a *allocations) logUnknownNetworks() {
	if a.store == nil || a.shared != nil {
		return
	}
	for _, network := range a.store.Table().Networks() {
		if a.isRemoved(network) {
			a.log.Warn("the store has allocations of a network that the configuration does not have; add the network again, or free "+
				"them (arpfabric free --network)", "network", network, "allocations", a.store.Table().Len(network))
		}
	}
}

// reload puts a configuration in force, with the allocations.
func (a *allocations) reload(ctx context.Context, c *config.Config) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	m, err := a.merge(ctx, c)
	if err != nil {
		return err
	}
	if err := a.fabric.Reload(ctx, m.config); err != nil {
		a.sources.forget(m.sources)
		return err
	}
	a.take(m)
	return nil
}

// putInForce puts all allocations of a network in force.
func (a *allocations) putInForce(ctx context.Context, network string) error {
	n, err := a.network(network)
	if err != nil {
		return err
	}
	next, outside, err := a.withAllocations(n, a.bases[network])
	if err != nil {
		return err
	}
	if err := a.fabric.SetRegistry(ctx, network, next); err != nil {
		return err
	}
	a.outside[network] = outside
	a.summarize()
	return nil
}

// putChangesInForce makes the registries in force have what the store has at the addresses of changes.
func (a *allocations) putChangesInForce(ctx context.Context, changes []store.Change) error {
	addrs := make([]store.Address, 0, len(changes))
	for _, c := range changes {
		addrs = append(addrs, store.Address{Network: c.Network, Addr: c.Address})
	}
	return a.putAddressesInForce(ctx, addrs)
}

// manyAddresses is the number of addresses from which making a registry anew is faster than editing it.
const manyAddresses = 1000

// putAddressesInForce makes the registries in force have what the store has at some addresses.
func (a *allocations) putAddressesInForce(ctx context.Context, addrs []store.Address) error {
	defer a.summarize()
	byNetwork := map[string][]netip.Addr{}
	for _, at := range addrs {
		byNetwork[at.Network] = append(byNetwork[at.Network], at.Addr)
	}
	for _, network := range slices.Sorted(maps.Keys(byNetwork)) {
		n, err := a.network(network)
		if err != nil {
			continue // its allocations are kept, and nothing is in force
		}
		if len(byNetwork[network]) < manyAddresses {
			err = a.edit(ctx, n, byNetwork[network])
		} else {
			err = a.putInForce(ctx, network)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// edit makes a network's registry in force have what its sources and the store have at some addresses.
func (a *allocations) edit(ctx context.Context, n *config.Network, addrs []netip.Addr) error {
	slices.SortFunc(addrs, netip.Addr.Compare)
	var remove, add []registry.Binding
	now := a.clock.Now()
	for _, addr := range slices.Compact(addrs) {
		if b, ok := n.Registry.Lookup(addr); ok && !a.isFile(n.Name, b) {
			remove = append(remove, b)
		}
		if b, ok := a.sourced[n.Name].inForce[addr]; ok {
			add = append(add, b.Binding)
		}
		delete(a.outside[n.Name], addr)
		one, ok := a.allocationOf(n.Name, addr)
		if !ok || hasExpired(one, now) {
			continue
		}
		if reason := reasonOutside(n, a.bases[n.Name], one); reason != "" {
			a.outside[n.Name][addr] = outsideBinding{one, reason}
			continue
		}
		add = append(add, one.Binding())
	}
	if len(remove)+len(add) == 0 {
		return nil
	}
	next, err := n.Registry.Edit(remove, add)
	if err != nil {
		return err
	}
	return a.fabric.SetRegistry(ctx, n.Name, next)
}

// allocationOf returns the allocation of an address.
func (a *allocations) allocationOf(network string, addr netip.Addr) (store.Allocation, bool) {
	if a.store == nil {
		return store.Allocation{}, false
	}
	return a.store.Table().Get(network, addr)
}
