package fabric

import (
	"slices"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/link"
)

// match returns the networks of a configuration. It reuses those with the same attachment, and makes the others, which
// it also returns as fresh.
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

// attachedTo returns the network with the same attachment, even with other uplinks, or nil.
func (f *Fabric) attachedTo(a config.Attachment) *network {
	for _, n := range f.networks {
		if n.config().Attach.IsSame(a) {
			return n
		}
	}
	return nil
}

// open opens a Conn for each fresh TAP and interface, and the datapath for all bridges and sidecars. A network whose
// bridge or interface is missing or unsuitable waits for it. Another failure, such as a missing privilege, is an error;
// open then closes the Conns that it has opened.
func (f *Fabric) open(fresh []*network, s link.Snapshot) error {
	for i, n := range fresh {
		if err := n.problem(f.openOne(n, s)); err != nil {
			for _, opened := range fresh[:i] {
				opened.closeServer()
			}
			return err
		}
	}
	return nil
}

// openOne opens the Conn of a network with one of its own, and the datapath if the network has a guard and it is not open
// yet, unless the network has to wait.
func (f *Fabric) openOne(n *network, s link.Snapshot) error {
	err := n.attachment.check(s)
	if err == nil {
		err = n.checkDefaultRoute(n.config(), s)
	}
	if err != nil {
		if f.isInForce(n.config().Name) {
			return err // instead of what guards its guests now, they would have nothing
		}
		f.wait(n, err)
		return nil
	}
	if n.config().Attach.HasGuard() {
		if err := f.openDatapath(); err != nil {
			return err
		}
	}
	if err := f.openAnswers(); err != nil {
		return err
	}
	if a, ok := n.attachment.(opener); ok {
		conn, err := a.open(s)
		if err != nil {
			return err
		}
		n.server = &connServer{conn: conn}
	}
	n.waitsFor.Store(nil)
	return nil
}

// isInForce reports whether a network of that name has started.
func (f *Fabric) isInForce(name string) bool {
	return slices.ContainsFunc(f.networks, func(n *network) bool { return n.config().Name == name && !n.isWaiting() })
}

// wait makes a network wait until err no longer applies.
func (f *Fabric) wait(n *network, err error) {
	reason := err.Error()
	if before := n.waitsFor.Swap(&reason); before == nil || *before != reason {
		f.log.Warn("network cannot start; it waits until this changes", "network", n.config().Name, "error", reason)
	}
}

// isWaiting reports whether the network has not started.
func (n *network) isWaiting() bool { return n.waitsFor.Load() != nil }

// openWaiting starts the waiting networks whose bridge or interface is there now, and returns these. A network that cannot
// be opened goes on waiting, and concerns no other.
func (f *Fabric) openWaiting(s link.Snapshot) (opened []*network) {
	for _, n := range f.networks {
		if !n.isWaiting() {
			continue
		}
		if err := f.openOne(n, s); err != nil {
			f.wait(n, err)
		}
		if !n.isWaiting() {
			opened = append(opened, n)
		}
	}
	if len(opened) > 0 {
		f.startServers()
	}
	return opened
}

// isAnyWaiting reports whether a network has not started.
func (f *Fabric) isAnyWaiting() bool { return slices.ContainsFunc(f.networks, (*network).isWaiting) }

// openDatapath opens the datapath, which carries the frames of all bridges and sidecars, and hosts, which answers the
// host itself. It does nothing if they are open.
func (f *Fabric) openDatapath() error {
	if f.shared != nil {
		return nil
	}
	hosts, err := newHosts(f.log)
	if err != nil {
		return err
	}
	if err := f.datapath.Open(); err != nil {
		hosts.close()
		return err
	}
	f.shared, f.hosts = &connServer{conn: f.datapath}, hosts
	return nil
}

// openAnswers opens the Conn of the requests that the datapath answers itself, or leaves to the fabric after it has looked at
// them. It does nothing if it is open, or if the datapath answers none.
func (f *Fabric) openAnswers() error {
	if f.answered != nil {
		return nil
	}
	answers, err := f.datapath.Answers()
	if err != nil || answers == nil {
		return err
	}
	f.answered = &connServer{conn: answers}
	if f.isDebugging() {
		f.datapath.Show(true)
	}
	return nil
}
