package fabric

import (
	"maps"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/violation"
	"github.com/arpfabric/arpfabric/responder"
)

// Config returns the configuration that is in force. It is not to be changed.
func (f *Fabric) Config() *config.Config { return f.inForce.Load() }

// Entry is how frames come in by a port.
type Entry struct {
	Network config.Network // that decides about them
	In      responder.In
	Kind    PortKind
}

// Entries returns how frames come in by a port that there is now, in each network that has it, by name, or, where network
// is not empty, in that one. By a sidecar's interface they are taken to be its guest's own.
func (f *Fabric) Entries(network, name string) []Entry {
	byNetwork := map[string]Entry{}
	for _, p := range f.ports.Load().all() {
		s := p.network.settings.Load()
		if p.link.Name != name || network != "" && s.config.Name != network {
			continue
		}
		e := Entry{Network: s.config, In: p.in, Kind: p.kind}
		e.In.HostMAC = s.hostMAC
		byNetwork[s.config.Name] = e // a sidecar's guest comes after the others on its segment
	}
	byName := func(a, b Entry) int { return strings.Compare(a.Network.Name, b.Network.Name) }
	return slices.SortedFunc(maps.Values(byNetwork), byName)
}

// Violations returns the table of who used an identity that is not theirs.
func (f *Fabric) Violations() *violation.Table { return f.violations }

// Listen returns a Listener for the verdicts that fit a filter, with room for so many that it has not taken yet.
func (f *Fabric) Listen(filter event.Filter, room int) *event.Listener {
	return f.events.Listen(filter, room)
}

// Troubles counts what went wrong around a fabric since it was made.
type Troubles struct {
	Reinstalled uint64 // times that the guard was put back after somebody had changed it
	LostFrames  uint64 // times that the kernel threw frames away because they were not read in time
	LostEvents  uint64 // and messages about interfaces and rules, after which all is read anew
	Strays      uint64 // frames from interfaces that were no port (any more)
}

// Troubles returns the counts. It may be called once the fabric is ready.
func (f *Fabric) Troubles() Troubles {
	t := Troubles{Reinstalled: f.robbed.Load(), LostFrames: f.lost.Load(), Strays: f.strays.Load()}
	for _, l := range *f.serving.Load() {
		t.LostFrames += l.lost()
	}
	for _, w := range f.watchers {
		t.LostEvents += w.Overruns()
	}
	return t
}
