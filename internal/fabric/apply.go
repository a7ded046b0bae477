package fabric

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// Reload puts another configuration in force while the fabric runs. Networks may be added and removed, and all their
// settings may change. A network that keeps its attachment answers without interruption. After an error, the old
// configuration is in force.
func (f *Fabric) Reload(ctx context.Context, c *config.Config) error {
	return f.runInLoop(ctx, request{run: func() error { return f.applyConfig(c) }, reconciles: true})
}

// SetRegistry replaces the registry of one network while the fabric runs. It does not read the interfaces. If
// [registry.Registry.Edit] made r from the registry in force, the time that it takes depends on the number of changes,
// and, with sidecars, on the number of bindings. After an error, the old registry is in force.
func (f *Fabric) SetRegistry(ctx context.Context, network string, r *registry.Registry) error {
	if r == nil {
		return errors.New("the registry is nil; use an empty registry for none")
	}
	return f.runInLoop(ctx, request{run: func() error { return f.applyRegistry(network, r) }})
}

// applyConfig puts a configuration in force, at the start and at each reload.
func (f *Fabric) applyConfig(c *config.Config) error {
	s, err := link.ReadSnapshot()
	if err != nil {
		return err
	}
	next, fresh := f.match(c.Networks)
	if err := f.checkDefaultRoutes(next, c.Networks, s); err != nil {
		return err
	}
	// Sockets are opened before anything changes, so that a failure leaves the old configuration in force.
	if err := f.open(fresh, s); err != nil {
		return err
	}
	c, kept, err := withHolders(c, next)
	if err != nil {
		return err
	}
	before := f.state()
	f.networks = next
	differences := make([]registry.Difference, len(next))
	for i, n := range next {
		differences[i] = registry.Diff(n.config().Registry, c.Networks[i].Registry)
		n.change(c.Networks[i])
	}
	// While the guard changes, a network answers if either configuration says so. So no request is lost.
	if err := f.reconcile(wholly); err != nil {
		return errors.Join(err, f.revert(before, fresh))
	}
	f.inForce.Store(c)
	f.running.Store(&next)
	f.startServers() // after the guard, which hands over the requests
	for i, n := range next {
		n.settle()
		n.holders = kept[i]
		f.inform(n, differences[i])
		f.probeGateway(n)
	}
	f.logNetworks(before.networks)
	f.detach(before.networks)
	return nil
}

// checkDefaultRoutes returns an error if a network that runs would cut the host off with its new configuration, and does
// not with the old one. Networks that start are checked when they are opened.
func (f *Fabric) checkDefaultRoutes(next []*network, configs []config.Network, s link.Snapshot) error {
	for i, n := range next {
		if n.isWaiting() || !slices.Contains(f.networks, n) || n.checkDefaultRoute(n.config(), s) != nil {
			continue
		}
		if err := n.checkDefaultRoute(&configs[i], s); err != nil {
			return n.problem(err)
		}
	}
	return nil
}

// withHolders returns a configuration in which the networks' addresses have the holders that they have now, and these
// holders by network.
func withHolders(c *config.Config, networks []*network) (*config.Config, []holders, error) {
	next := *c
	next.Networks = slices.Clone(c.Networks)
	kept := make([]holders, len(networks))
	for i, n := range networks {
		var err error
		if next.Networks[i].Registry, kept[i], err = n.holders.apply(c.Networks[i].Registry); err != nil {
			return nil, nil, err
		}
	}
	return &next, kept, nil
}

// applyRegistry puts a registry in force.
func (f *Fabric) applyRegistry(name string, r *registry.Registry) error {
	i := slices.IndexFunc(f.networks, func(n *network) bool { return n.config().Name == name })
	if i < 0 {
		return fmt.Errorf("there is no network %s", name)
	}
	return f.hold(f.networks[i], r, f.networks[i].holders)
}

// runs reports whether a network is in force.
func (f *Fabric) runs(n *network) bool { return slices.Contains(f.networks, n) }

// putInForce replaces the registry of a network. After an error, the old one is in force.
func (f *Fabric) putInForce(n *network, r *registry.Registry) error {
	name := n.config().Name
	before := n.settings.Load()
	difference := registry.Diff(before.config.Registry, r)
	n.settings.Store(before.withRegistry(r))
	if err := f.applyLocations(n); err != nil {
		n.settings.Store(before)
		return errors.Join(err, f.applyLocations(n))
	}
	f.inForce.Store(withRegistry(f.inForce.Load(), name, r))
	if difference.IsEmpty() {
		return nil
	}
	f.report(n, f.interfaces)
	if f.hosts != nil {
		f.hosts.refresh(f.ports.Load().ofHosts(), f.interfaces)
	}
	f.inform(n, difference)
	return nil
}

// applyLocations brings a network's locations in line with its registry, and applies the plan.
func (f *Fabric) applyLocations(n *network) error {
	return errors.Join(n.updateLocations(f.ports.Load(), f.interfaces), f.applyPlan())
}

// withRegistry returns a configuration in which a network has another registry.
func withRegistry(c *config.Config, name string, r *registry.Registry) *config.Config {
	next := *c
	next.Networks = slices.Clone(c.Networks)
	for i := range next.Networks {
		if next.Networks[i].Name == name {
			next.Networks[i].Registry = r
		}
	}
	return &next
}

// state has the networks in force, each with its settings.
type state struct {
	networks []*network
	settings []*settings
}

func (f *Fabric) state() state {
	s := state{networks: f.networks}
	for _, n := range f.networks {
		s.settings = append(s.settings, n.settings.Load())
	}
	return s
}

// revert restores the state before a configuration that could not be applied, and closes the sockets opened for it.
func (f *Fabric) revert(before state, fresh []*network) error {
	f.networks = before.networks
	for i, n := range before.networks {
		n.settings.Store(before.settings[i])
	}
	for _, n := range fresh {
		n.closeServer()
	}
	if !f.isReady() {
		return nil // the fabric is starting, and no state was in force
	}
	return f.reconcile(partly)
}

// startServers starts the servers that do not run yet.
func (f *Fabric) startServers() {
	servers := f.servers()
	f.serving.Store(&servers)
	for _, s := range servers {
		if !s.started {
			s.started = true
			f.tasks.Go(func() error { return f.serve(s) })
		}
	}
}

// logNetworks logs each network in force, except those that wait: whether it is new, and how it is attached.
func (f *Fabric) logNetworks(before []*network) {
	for _, n := range f.networks {
		switch {
		case n.isWaiting(): // logged already
		case slices.Contains(before, n):
			f.logNetwork(n, "network reloaded")
		default:
			f.logNetwork(n, "network attached")
		}
	}
}

func (f *Fabric) logNetwork(n *network, message string) {
	c := n.config()
	f.log.Info(message, "network", c.Name, "mode", c.Mode, "attach", c.Attach.String(),
		"bindings", c.Registry.Len(), "guard", c.GuardInForce(), "ports", f.ports.Load().count(n))
}

// detach closes the servers of the networks that are no longer in force.
func (f *Fabric) detach(before []*network) {
	for _, n := range before {
		if slices.Contains(f.networks, n) {
			continue
		}
		n.closeServer()
		f.log.Info("network detached", "network", n.config().Name)
	}
}
