package fabric

import (
	"context"
	"errors"
	"slices"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
)

// A reload asks the goroutine that follows the interfaces to put a configuration in force.
type reload struct {
	config *config.Config
	done   chan<- error
}

// Reload puts another configuration in force while the fabric runs: networks may come, go, and change in
// everything. Networks that keep their attachment answer throughout. After an error the old configuration
// is in force, unchanged.
func (f *Fabric) Reload(ctx context.Context, c *config.Config) error {
	done := make(chan error, 1)
	select {
	case f.reloads <- reload{c, done}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// adopt puts a configuration in force, at the start and at each reload.
func (f *Fabric) adopt(c *config.Config) error {
	s, err := link.Take()
	if err != nil {
		return err
	}
	next, fresh := f.match(c.Networks)
	if err := f.attach(fresh, s); err != nil {
		return err
	}
	before := f.state()
	f.networks = next
	registries := make([]*responder.Registry, len(next))
	for i, n := range next {
		registries[i] = n.config().Registry
		n.change(c.Networks[i])
	}
	if err := f.follow(); err != nil {
		return errors.Join(err, f.revert(before, fresh))
	}
	f.inForce.Store(c)
	f.serveLines()
	for i, n := range next {
		n.settle()
		f.inform(n, registries[i])
	}
	f.announce(before.networks)
	f.detach(before.networks)
	return nil
}

// state is what is in force: the networks, each with its settings.
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

// revert puts back in force what was before an adoption that failed, and closes what it has opened.
func (f *Fabric) revert(before state, fresh []*network) error {
	f.networks = before.networks
	for i, n := range before.networks {
		n.settings.Store(before.settings[i])
	}
	for _, n := range fresh {
		n.closeLine()
	}
	if !f.isReady() {
		return nil // there was nothing
	}
	return f.follow()
}

// serveLines starts to serve the lines that are new.
func (f *Fabric) serveLines() {
	lines := f.lines()
	f.serving.Store(&lines)
	for _, l := range lines {
		if !l.served {
			l.served = true
			f.tasks.Go(func() error { return f.serve(l) })
		}
	}
}

// announce logs what is attached, and what has become of the networks there were before.
func (f *Fabric) announce(before []*network) {
	for _, n := range f.networks {
		c, what := n.config(), "network attached"
		if slices.Contains(before, n) {
			what = "network reloaded"
		}
		f.log.Info(what, "network", c.Name, "mode", c.Mode, "attach", c.Attach.String(),
			"bindings", c.Registry.Len(), "guard", c.GuardInForce(), "ports", f.ports.Load().count(n))
	}
}

// detach closes what networks that are no more had open.
func (f *Fabric) detach(before []*network) {
	for _, n := range before {
		if slices.Contains(f.networks, n) {
			continue
		}
		n.closeLine()
		f.log.Info("network detached", "network", n.config().Name)
	}
}

// match finds the networks that have the attachments of a configuration, and makes those that are fresh.
func (f *Fabric) match(configs []config.Network) (all, fresh []*network) {
	for _, c := range configs {
		n := f.attachedTo(c.Attach)
		if n == nil {
			n = newNetwork(c)
			fresh = append(fresh, n)
		}
		all = append(all, n)
	}
	return all, fresh
}

// attachedTo returns the network with that attachment, whatever its uplinks, or nil.
func (f *Fabric) attachedTo(a config.Attachment) *network {
	for _, n := range f.networks {
		has := n.config().Attach
		if has.Bridge == a.Bridge && has.VLAN == a.VLAN && has.TAP == a.TAP &&
			has.Interface == a.Interface && has.Sidecar == a.Sidecar {
			return n
		}
	}
	return nil
}

// attach opens what fresh networks need: a Conn for each TAP and each interface, and one for all bridges and
// sidecars.
// Where it fails it leaves nothing open that wasn't.
func (f *Fabric) attach(fresh []*network, s link.Snapshot) error {
	if err := checkAll(fresh, s); err != nil {
		return err
	}
	for i, n := range fresh {
		if err := n.problem(f.open(n, s)); err != nil {
			for _, opened := range fresh[:i] {
				opened.closeLine()
			}
			return err
		}
	}
	return nil
}

func checkAll(networks []*network, s link.Snapshot) error {
	var problems []error
	for _, n := range networks {
		problems = append(problems, n.problem(n.attachment.check(s)))
	}
	return errors.Join(problems...)
}

func (f *Fabric) open(n *network, s link.Snapshot) error {
	if a, ok := n.attachment.(opener); ok {
		conn, err := a.open(s)
		if err == nil {
			n.line = &line{conn: conn}
		}
		return err
	}
	if f.bridges != nil {
		return nil
	}
	hosts, err := newHosts(f.log)
	if err != nil {
		return err
	}
	conn, err := wire.OpenBridge()
	if err != nil {
		hosts.close()
		return err
	}
	if err := conn.Mark(f.mark); err != nil {
		hosts.close()
		conn.Close()
		return err
	}
	f.bridges, f.hosts = &line{conn: conn}, hosts
	return nil
}
