package daemon

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// The methods in this file make the daemon an [api.Fabric], together with those in status.go.

// NetworkBindings implements [api.Fabric].
func (d *daemon) NetworkBindings(network string, q api.BindingQuery) (api.BindingPage, error) {
	a := d.allocations
	a.mu.Lock()
	defer a.mu.Unlock()
	n, err := a.network(network)
	if err != nil && a.isRemoved(network) {
		n, err = otherNetwork(network), nil
	}
	if err != nil {
		return api.BindingPage{}, err
	}
	page := api.BindingPage{Bindings: []api.NetworkBinding{}}
	for b := range a.find(n, q) {
		// A range and an address may begin together, and would not be on the next page. The bindings without an address are
		// all on the last page.
		if n := len(page.Bindings); n >= q.Limit && page.Bindings[n-1].First.IsValid() && b.First != page.Bindings[n-1].First {
			page.After = page.Bindings[n-1].First.String()
			return page, nil
		}
		page.Bindings = append(page.Bindings, b)
	}
	return page, nil
}

// otherNetwork returns a network of the store that is not in the configuration. None of its allocations are in force.
func otherNetwork(name string) *config.Network {
	empty, _ := registry.New(func(func(registry.Binding) bool) {})
	return &config.Network{Name: name, Registry: empty}
}

// outsideOf returns the allocations of a network that are not in force.
func (a *allocations) outsideOf(network string) map[netip.Addr]outsideBinding {
	if !a.isRemoved(network) {
		return a.outside[network]
	}
	all := map[netip.Addr]outsideBinding{}
	for one := range a.store.Table().All(network) {
		all[one.Address] = outsideBinding{one, "the configuration has no network " + network}
	}
	return all
}

// find yields the bindings that a query asks for.
func (a *allocations) find(n *config.Network, q api.BindingQuery) iter.Seq[api.NetworkBinding] {
	return func(yield func(api.NetworkBinding) bool) {
		all := a.all(n)
		if q.Address.IsValid() {
			all = a.at(n, q.Address)
		}
		for b := range all {
			isBefore := q.After.IsValid() && b.First.IsValid() && !q.After.Less(b.First)
			if isBefore || q.MAC != (registry.MAC{}) && b.MAC != q.MAC && !b.Candidates.Contains(q.MAC) || q.Name != "" && b.Name != q.Name {
				continue
			}
			one := a.describe(n, b)
			if (q.Source == "" || one.Source == q.Source) && !yield(one) {
				return
			}
		}
	}
}

// A row is a binding of a network with its source. It is not in force if there is a reason.
type row struct {
	registry.Binding
	source api.Source
	reason string
}

// at yields the bindings of one address, the one in force first.
func (a *allocations) at(n *config.Network, addr netip.Addr) iter.Seq[row] {
	return func(yield func(row) bool) {
		if b, ok := n.Registry.Lookup(addr); ok && !yield(row{b, a.sourceOf(n.Name, b), ""}) {
			return
		}
		for _, r := range a.notInForce(n) {
			if r.First == addr && !yield(r) {
				return
			}
		}
	}
}

// all yields all bindings of a network by address: those in force, and the others, with the reason.
func (a *allocations) all(n *config.Network) iter.Seq[row] {
	return func(yield func(row) bool) {
		rest := a.notInForce(n)
		for b := range n.Registry.All() {
			for len(rest) > 0 && (!b.First.IsValid() || rest[0].First.Less(b.First)) {
				if !yield(rest[0]) {
					return
				}
				rest = rest[1:]
			}
			if !yield(row{b, a.sourceOf(n.Name, b), ""}) {
				return
			}
		}
		for _, r := range rest {
			if !yield(r) {
				return
			}
		}
	}
}

// notInForce returns the bindings of a network that are not in force, by address.
func (a *allocations) notInForce(n *config.Network) []row {
	var all []row
	for _, b := range a.sourced[n.Name].outside {
		all = append(all, row{b.Binding, api.Source(b.kind), b.reason})
	}
	for _, one := range a.outsideOf(n.Name) {
		all = append(all, row{one.Binding(), api.FromStore, one.reason})
	}
	slices.SortStableFunc(all, func(a, b row) int { return a.First.Compare(b.First) })
	return all
}

// describe describes a binding of a network.
func (a *allocations) describe(n *config.Network, r row) api.NetworkBinding {
	one := api.NetworkBinding{Binding: located(a.fabric, n.Name, r.Binding), Source: r.source, NotInForce: r.reason}
	switch {
	case r.source == api.FromConfig:
	case r.source != api.FromStore && r.reason == "":
		one.Expires = timeOrNil(a.sourced[n.Name].inForce[r.First].expires)
	case r.source == api.FromStore:
		if allocated, ok := a.store.Table().Get(n.Name, r.First); ok {
			one.Revision, one.Expires = allocated.Revision, timeOrNil(allocated.Expires)
		}
	}
	return one
}

// sourceOf returns the source of a binding in force.
func (a *allocations) sourceOf(network string, b registry.Binding) api.Source {
	if a.isFile(network, b) {
		return api.FromConfig
	}
	if one, ok := a.sourced[network].inForce[b.First]; ok {
		return api.Source(one.kind)
	}
	return api.FromStore
}

// isFile reports whether a binding in force is of the configuration: that wins every conflict.
func (a *allocations) isFile(network string, b registry.Binding) bool {
	if !b.First.IsValid() { // a MAC alone
		return true
	}
	_, ok := a.files[network].Lookup(b.First)
	return ok
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// FreeRanges implements [api.Fabric].
func (d *daemon) FreeRanges(network string, limit int) ([]api.FreeRange, error) {
	d.allocations.mu.Lock()
	defer d.allocations.mu.Unlock()
	s, err := d.allocations.state(network)
	if err != nil {
		return nil, err
	}
	if err := s.CheckPool(); err != nil {
		return nil, err
	}
	all := []api.FreeRange{}
	for r := range s.Free {
		all = append(all, api.FreeRange{Network: network, First: r.First, Last: r.Last})
		if len(all) == limit {
			break
		}
	}
	return all, nil
}

// Allocate implements [api.Fabric].
func (d *daemon) Allocate(ctx context.Context, network string, q allocate.Request) (api.NetworkBinding, error) {
	return d.change(ctx, network, func(s *allocate.State) (store.Change, bool, error) {
		c, err := s.Allocate(q)
		return c, err == nil, err
	})
}

// PutBinding implements [api.Fabric].
func (d *daemon) PutBinding(ctx context.Context, network string, q allocate.Request) (api.NetworkBinding, error) {
	return d.change(ctx, network, func(s *allocate.State) (store.Change, bool, error) { return s.Put(q) })
}

// FreeBinding implements [api.Fabric].
func (d *daemon) FreeBinding(
	ctx context.Context, network string, addr netip.Addr, p allocate.Precondition, by store.Caller,
) (api.NetworkBinding, error) {
	return d.change(ctx, network, func(s *allocate.State) (store.Change, bool, error) {
		c, err := s.Release(addr, p, by)
		return c, err == nil, err
	})
}

func (d *daemon) change(
	ctx context.Context, network string, decide func(*allocate.State) (store.Change, bool, error),
) (api.NetworkBinding, error) {
	one, err := d.allocations.change(ctx, network, decide)
	if err != nil {
		return api.NetworkBinding{}, err
	}
	return api.NetworkBinding{
		Binding: api.BindingOf(one.Network, one.Binding()), Source: api.FromStore,
		Revision: one.Revision, Expires: timeOrNil(one.Expires), NotInForce: d.allocations.reasonOf(one),
	}, nil
}

// reasonOf says why an allocation is not in force, or "".
func (a *allocations) reasonOf(one store.Allocation) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.outside[one.Network][one.Address].reason
}

// History implements [api.Fabric].
func (d *daemon) History(q store.HistoryQuery) ([]api.Change, error) {
	all := []api.Change{}
	s := d.allocations.opened()
	if s == nil {
		return all, nil
	}
	changes, err := s.History(q)
	for _, c := range changes {
		all = append(all, changeJSON(c))
	}
	return all, err
}

// opened returns the store, or nil.
func (a *allocations) opened() store.Store {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.store
}

// A summary is what the status of the fabric says of allocations. It is made after each change, so that the status waits
// neither for a change nor for a reload.
type summary struct {
	store    *api.Store          // nil if it is not open
	findings map[string][]string // by network
}

// summarize makes the summary.
func (a *allocations) summarize() {
	s := &summary{store: a.storeSummary(), findings: map[string][]string{}}
	for network := range a.files {
		s.findings[network] = a.findingsOf(network)
	}
	a.summary.Store(s)
}

// status returns the state of the store, or nil if it is not open. findings has its errors.
func (a *allocations) status() *api.Store {
	s := a.summary.Load().store
	if s == nil || a.shared == nil {
		return s
	}
	now, e := *s, a.config.Etcd
	h := a.shared.Health()
	now.Etcd = &api.Etcd{Endpoints: e.Endpoints, Prefix: e.Prefix, Host: e.Host, Current: timeOrNil(h.Current)}
	if h.Err != nil {
		now.Etcd.Error = h.Err.Error()
	}
	return &now
}

// findings says which bindings of sources and allocations of a network are not in force, and why none can be made.
func (a *allocations) findings(network string) []string { return a.summary.Load().findings[network] }

func (a *allocations) storeSummary() *api.Store {
	if a.store == nil {
		return nil
	}
	s, table := &api.Store{Folder: a.config.Folder}, a.store.Table()
	for _, network := range table.Networks() {
		s.Allocations += table.Len(network)
		if a.shared == nil && a.isRemoved(network) {
			s.OtherNetworks = append(s.OtherNetworks, network)
		}
	}
	return s
}

func changeJSON(c store.Change) api.Change {
	one := api.Change{
		Revision: c.Revision, Time: c.At, Kind: api.ChangeKind(c.Kind), Network: c.Network, Address: c.Address,
		Is: ownerJSON(c.Allocation),
	}
	if c.Before != nil {
		was := ownerJSON(*c.Before)
		one.Was = &was
	}
	if c.Kind != store.Expire {
		one.UID, one.PID = &c.By.UID, &c.By.PID
	}
	return one
}

func ownerJSON(a store.Allocation) api.Owner {
	return api.Owner{MAC: a.MAC.String(), Name: a.Name, Port: a.Port, Expires: timeOrNil(a.Expires)}
}

// storeProblem says why nothing can be allocated, or "".
func (a *allocations) storeProblem() string {
	if a.shared != nil {
		if err := a.shared.Health().Err; err != nil {
			return err.Error()
		}
	}
	return a.reported
}

func (a *allocations) findingsOf(network string) (all []string) {
	if problem := a.storeProblem(); problem != "" {
		all = append(all, "nothing can be allocated or freed: "+problem)
	}
	if conflicts := a.sourced[network].outside; len(conflicts) > 0 {
		first := conflicts[0]
		all = append(all, fmt.Sprintf("%d bindings of sources are not in force, and `arpfabric bindings` says why; the first: %s of %s: %s",
			len(conflicts), first.First, first.Origin, first.reason))
	}
	outside := a.outside[network]
	if len(outside) > 1 {
		return append(all, fmt.Sprintf("%d allocations are not in force; `arpfabric bindings --source store` says why", len(outside)))
	}
	for addr, one := range outside {
		all = append(all, fmt.Sprintf("the allocation of %s is not in force: %s", addr, one.reason))
	}
	return all
}
