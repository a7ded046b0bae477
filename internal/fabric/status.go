package fabric

import (
	"maps"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/violation"
)

// Config returns the configuration in force. The caller must not change it.
func (f *Fabric) Config() *config.Config { return f.inForce.Load() }

// Ingresses returns how frames enter by the port of a name, for each network that has such a port, sorted by network.
// If network is not empty, it returns only that network's. For a sidecar's interface, it returns the ingress of the
// guest's own frames.
func (f *Fabric) Ingresses(network, name string) []config.Ingress {
	byNetwork := map[string]config.Ingress{}
	for _, p := range f.ports.Load().all() {
		s := p.network.settings.Load()
		if p.link.Name != name || network != "" && s.config.Name != network {
			continue
		}
		// ports.all has a sidecar's guest after the interface, and so the guest's ingress replaces that of the others.
		byNetwork[s.config.Name] = config.Ingress{Network: s.config, Ingress: s.config.Ingress(p.facts)}
	}
	byName := func(a, b config.Ingress) int { return strings.Compare(a.Network.Name, b.Network.Name) }
	return slices.SortedFunc(maps.Values(byNetwork), byName)
}

// PortNames returns the names of the ports of a network, or of all networks if network is empty, sorted. It returns none
// if one of these networks waits to start: its ports are unknown.
func (f *Fabric) PortNames(network string) []string {
	for name := range f.Waiting() {
		if network == "" || name == network {
			return nil
		}
	}
	var names []string
	for _, p := range f.ports.Load().all() {
		if network == "" || p.network.config().Name == network {
			names = append(names, p.link.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Waiting returns, for each network that waits to start, the error that says why.
func (f *Fabric) Waiting() map[string]string {
	waiting := map[string]string{}
	for _, n := range *f.running.Load() {
		if reason := n.waitsFor.Load(); reason != nil {
			waiting[n.config().Name] = *reason
		}
	}
	return waiting
}

// Violations returns the table of guests that used a MAC or an address that is not theirs.
func (f *Fabric) Violations() *violation.Table { return f.violations }

// Program describes the program in the kernel that handles frames by itself; nil if there is none.
func (f *Fabric) Program() *datapath.Program { return f.datapath.Program() }

// Listen returns a Listener for the verdicts that match a filter. It buffers up to capacity of them, and begins with the last
// ones before.
func (f *Fabric) Listen(filter event.Filter, capacity, last int) *event.Listener {
	return f.events.Listen(filter, capacity, last)
}

// Troubles has counters of problems since the fabric was made.
type Troubles struct {
	Reinstalled uint64 // times that the fabric installed the guard again after another program had changed it
	LostFrames  uint64 // times that the kernel dropped frames because they were not read in time
	LostEvents  uint64 // times that it dropped messages about interfaces and rules; the fabric reads all of them again then
	Strays      uint64 // frames from interfaces that are not, or no longer, ports
}

// Troubles returns the counters. It may be called once the fabric is ready.
func (f *Fabric) Troubles() Troubles {
	t := Troubles{Reinstalled: f.guardReinstalls.Load(), LostFrames: f.lost.Load(), Strays: f.strays.Load()}
	for _, s := range *f.serving.Load() {
		t.LostFrames += s.lost()
	}
	t.LostEvents = f.watcher.Overruns() + f.fdbWatcher.Overruns() + f.datapath.Overruns()
	return t
}
