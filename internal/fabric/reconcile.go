package fabric

import (
	"errors"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
)

// extent says how much of a reconciliation has to succeed.
type extent bool

const (
	wholly extent = true  // if one network cannot be reconciled, change nothing in the kernel
	partly extent = false // if one network cannot be reconciled, still reconcile the others
)

// reconcile brings the ports and the guard in line with the interfaces.
func (f *Fabric) reconcile(how extent) error {
	s, err := link.ReadSnapshot()
	if err != nil {
		return err
	}
	before, now := f.ports.Load(), newPorts()
	var problems []error
	var started []*network
	if f.isReady() { // at the start, applyConfig has just tried to open them
		started = f.openWaiting(s)
	}
	s, err = f.ensureOverlays(s)
	problems = append(problems, err)
	for _, n := range f.networks {
		if n.isWaiting() {
			continue
		}
		n.findBridge(s, f.networks)
		n.findUplinks(s)
		// The host's MAC comes before the ports: newPort needs it for their Ingress.
		n.updateHostMAC(s)
		links, err := n.attachment.reconcile(s)
		problems = append(problems, n.problem(err))
		now.addNetwork(n, links, s, before)
		problems = append(problems, n.problem(n.updateLocations(now, s)))
		f.report(n, s)
	}
	if err := errors.Join(problems...); err != nil && how == wholly {
		return err
	}
	f.interfaces = s
	// The ports come before the guard, so that a frame that the guard hands over finds its port.
	f.ports.Store(now)
	problems = append(problems, f.applyPlan())
	f.logChanges(before.byIndex, now.byIndex)
	for _, n := range started {
		f.logNetwork(n, "network attached")
		f.probeGateway(n)
	}
	// The host's entries come last: the guard must admit the frames of the owners that they name.
	if f.hosts != nil {
		f.hosts.refresh(now.ofHosts(), s)
	}
	return errors.Join(problems...)
}

// applyPlan applies the plan of the networks to the datapath, and logs its new warnings.
func (f *Fabric) applyPlan() error {
	f.takeOver() // so that the plan has the locations whose FDB entries servers have written
	p := planOf(f.networks)
	if !f.hasApplied && len(p.Networks)+len(p.Sidecars) == 0 && f.isAnyWaiting() {
		return nil // a guard that an earlier fabric has left stays until the first network starts
	}
	f.hasApplied = true
	err := f.datapath.Apply(p, f.interfaces)
	f.notifyLocated()
	f.relay()
	for _, warning := range f.datapath.Warnings() {
		if !slices.Contains(f.warnings, warning) {
			f.warnings = append(f.warnings, warning)
			f.log.Warn(warning)
		}
	}
	return err
}

// planOf returns the datapath's plan for networks.
func planOf(networks []*network) datapath.Plan {
	var p datapath.Plan
	for _, n := range networks {
		if !n.isWaiting() {
			n.attachment.plan(&p)
		}
	}
	slices.SortFunc(p.Sidecars, func(x, y datapath.Sidecar) int { return strings.Compare(x.Interface, y.Interface) })
	return p
}

func (f *Fabric) isReady() bool {
	select {
	case <-f.ready:
		return true
	default:
		return false
	}
}

func (f *Fabric) logChanges(before, now map[int]*port) {
	if !f.isReady() {
		return // logNetworks logs the networks with their ports instead
	}
	for index, p := range before {
		if !now[index].isSame(p) {
			f.log.Info("port gone", "network", p.network.config().Name, "port", p.link.Name)
		}
	}
	for index, p := range now {
		if !before[index].isSame(p) {
			f.log.Info("port attached", "network", p.network.config().Name, "port", p.link.Name)
		}
	}
}
