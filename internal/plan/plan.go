package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// Running is what the API says of a running fabric.
type Running struct {
	Networks []api.Network
	Bindings map[string][]api.NetworkBinding // all of each network, allocations that are not in force included
}

// Compare returns what a configuration would change.
func Compare(next *config.Config, running Running) api.Plan {
	p := api.Plan{Networks: []api.NetworkPlan{}}
	before := map[string]api.Network{}
	for _, n := range running.Networks {
		before[n.Name] = n
	}
	for i := range next.Networks {
		n := &next.Networks[i]
		one := compareNetwork(n, running.Bindings[n.Name])
		if was, ok := before[n.Name]; ok {
			one.Settings = settings(was, n)
		} else {
			one.Kind = api.AddNetwork
		}
		delete(before, n.Name)
		if one.Kind == api.AddNetwork || len(one.Settings)+len(one.Added)+len(one.Removed)+len(one.Moved) > 0 {
			p.Networks = append(p.Networks, one)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		one := newPlan(name, api.RemoveNetwork)
		one.Removed = append(one.Removed, inForce(running.Bindings[name])...)
		one.Ports = ports(one)
		p.Networks = append(p.Networks, one)
	}
	slices.SortFunc(p.Networks, func(a, b api.NetworkPlan) int { return strings.Compare(a.Network, b.Network) })
	return p
}

func newPlan(network string, kind api.PlanKind) api.NetworkPlan {
	return api.NetworkPlan{
		Network: network, Kind: kind, Settings: []api.Setting{},
		Added: []api.NetworkBinding{}, Removed: []api.NetworkBinding{}, Moved: []api.MovedBinding{}, Ports: []string{},
	}
}

// compareNetwork compares the bindings of a network with those that would be in force.
func compareNetwork(n *config.Network, running []api.NetworkBinding) api.NetworkPlan {
	p := newPlan(n.Name, api.ChangeNetwork)
	after := bindingsAfter(n, running)
	left := map[string]api.NetworkBinding{}
	for _, b := range inForce(running) {
		left[key(b)] = b
	}
	for _, b := range after {
		was, ok := left[key(b)]
		delete(left, key(b))
		if ok && keepsHolder(n, b, was.MAC) {
			b.MAC = was.MAC
		}
		switch {
		case !ok:
			p.Added = append(p.Added, b)
		case !isSame(was, b):
			p.Moved = append(p.Moved, api.MovedBinding{Before: was, After: b})
		}
	}
	for _, b := range inForce(running) { // in the order of addresses
		if _, ok := left[key(b)]; ok {
			p.Removed = append(p.Removed, b)
		}
	}
	p.Ports = ports(p)
	return p
}

// isSame reports whether a guest may do the same by two bindings of the same addresses.
func isSame(a, b api.NetworkBinding) bool {
	return a.MAC == b.MAC && a.Port == b.Port && slices.Equal(a.MACs, b.MACs) && slices.Equal(a.Routes, b.Routes)
}

// keepsHolder reports whether the present holder of an address that moves between MACs would stay its holder.
func keepsHolder(n *config.Network, b api.NetworkBinding, holder string) bool {
	mac, err := registry.ParseMAC(holder)
	configured, ok := n.Registry.Lookup(b.First)
	return err == nil && ok && configured.Candidates.Contains(mac)
}

// bindingsAfter returns the bindings that would be in force: those of the configuration, then those that the running fabric
// has of the sources that stay, and the allocations, if the configuration does not bind their addresses.
func bindingsAfter(n *config.Network, running []api.NetworkBinding) []api.NetworkBinding {
	var all []api.NetworkBinding
	for b := range n.Registry.All() {
		all = append(all, api.NetworkBinding{Binding: api.BindingOf(n.Name, b), Source: api.FromConfig})
	}
	for _, b := range running {
		_, isBound := n.Registry.Lookup(b.First)
		if b.Source != api.FromStore && !isOfSource(n, b) || isBound || n.CheckAddress(b.First) != nil || b.Port != "" && n.CheckPort(b.Port) != nil {
			continue
		}
		b.NotInForce = ""
		all = append(all, b)
	}
	return all
}

// isOfSource reports whether a binding in force is of a source that a network follows.
func isOfSource(n *config.Network, b api.NetworkBinding) bool {
	return slices.ContainsFunc(n.Sources, func(s config.Source) bool {
		return b.NotInForce == "" && b.Source == api.Source(s.Kind) && s.IsOrigin(b.Origin)
	})
}

// key identifies a binding by its addresses, or by its MAC if it has none.
func key(b api.NetworkBinding) string {
	if !b.First.IsValid() {
		return b.MAC
	}
	return b.First.String() + "-" + b.Last.String()
}

func inForce(all []api.NetworkBinding) []api.NetworkBinding {
	return slices.DeleteFunc(slices.Clone(all), func(b api.NetworkBinding) bool { return b.NotInForce != "" })
}

func settings(was api.Network, n *config.Network) []api.Setting {
	all := []api.Setting{}
	for _, s := range []api.Setting{
		{Name: "mode", Before: was.Mode, After: string(n.Mode)},
		{Name: "attach", Before: was.Attach, After: n.Attach.String()},
		{Name: "guard", Before: was.Guard, After: string(n.GuardInForce())},
	} {
		if s.Before != s.After {
			all = append(all, s)
		}
	}
	return all
}

// ports returns the ports that the bindings of a plan name.
func ports(p api.NetworkPlan) []string {
	names := map[string]bool{}
	for _, b := range slices.Concat(p.Added, p.Removed) {
		names[b.Port] = true
	}
	for _, m := range p.Moved {
		names[m.Before.Port], names[m.After.Port] = true, true
	}
	delete(names, "")
	return append([]string{}, slices.Sorted(maps.Keys(names))...)
}
