package daemon

import (
	"context"
	"net/netip"
	"os"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/violation"
	"github.com/arpfabric/arpfabric/responder"
)

// The methods in this file make the daemon an [api.Fabric].

// Status implements [api.Fabric].
func (d *daemon) Status() api.Status {
	troubles, ports := d.fabric.Troubles(), d.fabric.Counts()
	s := api.Status{
		Version: build.Read().Version, PID: os.Getpid(), Started: d.started,
		Configuration: d.configuration(),
		Networks:      networks(d.fabric.Config().Networks, ports),
		Guard:         api.Guard{Reinstalled: troubles.Reinstalled},
		Reasons:       map[string]uint64{},
		Violations: api.Violations{
			Records: d.fabric.Violations().Len(), Forgotten: d.fabric.Violations().Forgotten(),
		},
		Losses: api.Losses{Frames: troubles.LostFrames, Events: troubles.LostEvents, Strays: troubles.Strays},
	}
	for _, p := range ports {
		s.Refused += p.Refused
		addReasons(s.Reasons, p)
	}
	return s
}

// addReasons adds a port's reasons to counts by name.
func addReasons(to map[string]uint64, p fabric.PortCounts) {
	for reason, n := range p.Reasons() {
		to[reason.String()] += n
	}
}

func (d *daemon) configuration() api.Configuration {
	r := d.reloader.Status()
	c := api.Configuration{Files: r.Files, Loaded: r.Loaded, Generation: r.Generation, Failures: r.Failures}
	if r.LastError != nil {
		c.LastError, c.FailedAt = r.LastError.Error(), &r.FailedAt
	}
	return c
}

func networks(configs []config.Network, ports []fabric.PortCounts) []api.Network {
	all := make([]api.Network, 0, len(configs))
	guests := fabric.GuestPorts(ports)
	for _, c := range configs {
		all = append(all, api.Network{
			Name: c.Name, Mode: string(c.Mode), Attach: c.Attach.String(), Guard: string(c.GuardInForce()),
			Bindings: c.Registry.Len(), Ports: guests[c.Name],
		})
	}
	return all
}

var portKinds = map[fabric.PortKind]api.PortKind{
	fabric.GuestPort: api.GuestPort, fabric.Uplink: api.Uplink, fabric.Host: api.Host,
}

// Ports implements [api.Fabric].
func (d *daemon) Ports() []api.Port {
	all := []api.Port{}
	for _, p := range d.fabric.Counts() {
		port := api.Port{
			Network: p.Network, Name: p.Port, Index: p.Index, Kind: portKinds[p.Kind], MAC: p.MAC.String(),
			Reasons: map[string]uint64{}, Refused: p.Refused,
		}
		addReasons(port.Reasons, p)
		all = append(all, port)
	}
	return all
}

// Violations implements [api.Fabric].
func (d *daemon) Violations() []api.Violation {
	all := []api.Violation{}
	for _, r := range d.fabric.Violations().All() {
		all = append(all, inJSON(r))
	}
	return all
}

func inJSON(r violation.Record) api.Violation {
	v := api.Violation{
		Network: r.Network, Port: r.Port, Reason: r.Reason.String(), Action: r.Action.String(),
		MAC: r.MAC.String(), Address: r.Claimed(), Target: r.Target,
		First: r.First, Last: r.Last, Count: r.Count,
	}
	if r.Owner != (responder.Binding{}) {
		owner := binding(r.Network, r.Owner)
		v.Owner = &owner
	}
	return v
}

func binding(network string, b responder.Binding) api.Binding {
	return api.Binding{
		Network: network, First: b.First, Last: b.Last, MAC: b.MAC.String(),
		Name: b.Name, Port: b.Port, Origin: b.Origin.String(),
	}
}

// LookupAddress implements [api.Fabric].
func (d *daemon) LookupAddress(addr netip.Addr) []api.Binding {
	all := []api.Binding{}
	for _, n := range d.fabric.Config().Networks {
		if b, ok := n.Registry.Lookup(addr); ok {
			all = append(all, binding(n.Name, b))
		}
	}
	return all
}

// LookupMAC implements [api.Fabric].
func (d *daemon) LookupMAC(mac responder.MAC) []api.Binding {
	return d.search(api.MostBindings, func(b responder.Binding) bool { return b.MAC == mac })
}

// Explain implements [api.Fabric]. Of a port that is not there now it says what the configuration makes of it.
func (d *daemon) Explain(q explain.Question) (explain.Explanation, error) {
	var places []explain.Place
	for _, e := range d.fabric.Entries(q.Network, q.Port) {
		places = append(places, explain.Place{Network: e.Network, In: e.In, Host: e.Kind == fabric.Host})
	}
	if len(places) == 0 {
		return q.Answer(d.fabric.Config().Networks)
	}
	return q.AnswerAt(places)
}

// mostBeginnings is how many bindings are told whose address begins somehow: as many as a shell shows.
const mostBeginnings = 100

// LookupBeginning implements [api.Fabric].
func (d *daemon) LookupBeginning(text string) []api.Binding {
	return d.search(mostBeginnings, func(b responder.Binding) bool { return strings.HasPrefix(b.First.String(), text) })
}

// search returns the bindings that fit, by network and address, and no more than so many.
func (d *daemon) search(most int, fits func(responder.Binding) bool) []api.Binding {
	all := []api.Binding{}
	for _, n := range d.fabric.Config().Networks {
		for b := range n.Registry.All() {
			if len(all) == most {
				return all
			}
			if fits(b) {
				all = append(all, binding(n.Name, b))
			}
		}
	}
	return all
}

// Reload implements [api.Fabric].
func (d *daemon) Reload(ctx context.Context) error { return d.reloader.Reload(ctx) }

// Listen implements [api.Fabric].
func (d *daemon) Listen(f event.Filter, room int) *event.Listener { return d.fabric.Listen(f, room) }
