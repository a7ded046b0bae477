package daemon

import (
	"context"
	"fmt"
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

// A merger has a configuration with the allocations, before it is in force.
type merger struct {
	config  *config.Config
	files   map[string]*registry.Registry
	outside map[string]map[netip.Addr]outsideBinding
}

// merge returns a configuration with the allocations of the store. Conflicts are no errors: the configuration wins.
func (a *allocations) merge(c *config.Config) (*merger, error) {
	merged := *c
	merged.Networks = slices.Clone(c.Networks)
	m := &merger{&merged, map[string]*registry.Registry{}, map[string]map[netip.Addr]outsideBinding{}}
	for i := range merged.Networks {
		n := &merged.Networks[i]
		file := n.Registry
		m.files[n.Name] = file
		bindings, outside := a.bindingsOf(n, file)
		m.outside[n.Name] = outside
		var err error
		if n.Registry, err = withBindings(file, bindings); err != nil {
			return nil, fmt.Errorf("adding the allocations of network %s: %w", n.Name, err)
		}
	}
	return m, nil
}

// take makes what was merged the current state, once the configuration is in force.
func (a *allocations) take(m *merger) {
	before := a.outside
	a.files, a.outside = m.files, m.outside
	a.summarize()
	a.logOutside(before)
}

// bindingsOf returns the allocations of a network as bindings, and those that can't be in force.
func (a *allocations) bindingsOf(n *config.Network, file *registry.Registry) ([]registry.Binding, map[netip.Addr]outsideBinding) {
	if a.store == nil {
		return nil, nil
	}
	var bindings []registry.Binding
	outside := map[netip.Addr]outsideBinding{}
	now := time.Now()
	for one := range a.store.Table().All(n.Name) {
		reason := reasonOutside(n, file, one)
		switch {
		case reason != "":
			outside[one.Address] = outsideBinding{one, reason}
		case !hasExpired(one, now):
			bindings = append(bindings, one.Binding())
		}
	}
	return bindings, outside
}

func hasExpired(a store.Allocation, now time.Time) bool {
	return !a.Expires.IsZero() && !a.Expires.After(now)
}

// reasonOutside says why an allocation can't be in force, or "".
func reasonOutside(n *config.Network, file *registry.Registry, a store.Allocation) string {
	if b, ok := file.Lookup(a.Address); ok {
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

// withBindings returns a registry with more bindings. If there are few of them, it shares most of its memory.
func withBindings(r *registry.Registry, more []registry.Binding) (*registry.Registry, error) {
	const few = 1000
	switch {
	case len(more) == 0:
		return r, nil
	case len(more) <= few:
		return r.Edit(nil, more)
	}
	return registry.New(func(yield func(registry.Binding) bool) {
		for b := range r.All() {
			if !yield(b) {
				return
			}
		}
		for _, b := range more {
			if !yield(b) {
				return
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

// logUnknownNetworks logs the networks of the store that the configuration does not have.
func (a *allocations) logUnknownNetworks() {
	if a.store == nil {
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
	m, err := a.merge(c)
	if err != nil {
		return err
	}
	if err := a.fabric.Reload(ctx, m.config); err != nil {
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
	bindings, outside := a.bindingsOf(n, a.files[network])
	next, err := withBindings(a.files[network], bindings)
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

// putChangesInForce edits the registries in force so that they have what the store has at the addresses of changes.
func (a *allocations) putChangesInForce(ctx context.Context, changes []store.Change) error {
	defer a.summarize()
	byNetwork := map[string][]netip.Addr{}
	for _, c := range changes {
		byNetwork[c.Network] = append(byNetwork[c.Network], c.Address)
	}
	for _, network := range slices.Sorted(maps.Keys(byNetwork)) {
		n, err := a.network(network)
		if err != nil {
			continue // its allocations are kept, and nothing is in force
		}
		if err := a.edit(ctx, n, byNetwork[network]); err != nil {
			return err
		}
	}
	return nil
}

// edit makes a network's registry in force have what the store has at some addresses.
func (a *allocations) edit(ctx context.Context, n *config.Network, addrs []netip.Addr) error {
	slices.SortFunc(addrs, netip.Addr.Compare)
	var remove, add []registry.Binding
	now := time.Now()
	for _, addr := range slices.Compact(addrs) {
		if b, ok := n.Registry.Lookup(addr); ok && !a.isFile(n.Name, b) {
			remove = append(remove, b)
		}
		delete(a.outside[n.Name], addr)
		one, ok := a.store.Table().Get(n.Name, addr)
		if !ok || hasExpired(one, now) {
			continue
		}
		if reason := reasonOutside(n, a.files[n.Name], one); reason != "" {
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
