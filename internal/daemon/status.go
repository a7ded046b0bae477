package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// The methods in this file make the daemon an [api.Fabric].

// Status implements [api.Fabric].
func (d *daemon) Status() api.Status {
	troubles, ports := d.fabric.Troubles(), d.fabric.Counts()
	s := api.Status{
		Version: build.Read().Version, PID: os.Getpid(), Started: d.started,
		Configuration: d.configuration(),
		Networks:      d.networks(ports),
		Datapath:      d.datapathState(),
		Guard:         api.Guard{Reinstalled: troubles.Reinstalled},
		Store:         d.allocations.status(),
		Page:          d.page.Load(),
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
	s.Problems = api.ProblemsOf(s)
	return s
}

func (d *daemon) datapathState() api.Datapath {
	state := d.datapath.State()
	return api.Datapath{InForce: string(state.InForce), Why: state.Why, Program: program(d.fabric.Program())}
}

func program(p *datapath.Program) *api.Program {
	if p == nil {
		return nil
	}
	described := &api.Program{Ports: p.Ports, Detours: p.Detours, LeftToFabric: p.LeftToFabric}
	for _, m := range p.Maps {
		described.Maps = append(described.Maps, api.Map(m))
	}
	return described
}

// addReasons adds the number of verdicts on a port's frames to counts by the name of their reason.
func addReasons(to map[string]uint64, p fabric.PortCounts) {
	for reason, n := range p.Reasons() {
		to[reason.String()] += n
	}
}

func (d *daemon) configuration() api.Configuration {
	r := d.reloader.Status()
	c := api.Configuration{
		Files: absolute(r.Files), Loaded: r.Loaded, Generation: r.Generation, Failures: r.Failures, NeedRestart: r.NeedRestart,
	}
	if r.LastError != nil {
		c.LastError, c.FailedAt = r.LastError.Error(), &r.FailedAt
	}
	return c
}

// absolute makes the paths of files absolute, for clients that run in other folders.
func absolute(files []string) []string {
	all := slices.Clone(files)
	for i, file := range files {
		if path, err := filepath.Abs(file); err == nil && file != config.Stdin {
			all[i] = path
		}
	}
	return all
}

func (d *daemon) networks(ports []fabric.PortCounts) []api.Network {
	configs, waiting, findings := d.fabric.Config().Networks, d.fabric.Waiting(), d.fabric.Findings()
	all := make([]api.Network, 0, len(configs))
	guests := fabric.GuestPorts(ports)
	for _, c := range configs {
		all = append(all, api.Network{
			Name: c.Name, Mode: string(c.Mode), Attach: c.Attach.String(), Guard: string(c.GuardInForce()),
			Bindings: c.Registry.Len(), Ports: guests[c.Name], WaitsFor: waiting[c.Name],
			Subnet: textOrNone(c.Subnet), Gateway: textOrNone(c.Gateway),
			Findings: slices.Concat(findings[c.Name], d.allocations.findings(c.Name), d.hosts.findings(c.Name)),
			Sources:  d.sources(&c),
		})
	}
	return all
}

// textOrNone returns an address or a prefix as text, "" for the zero value.
func textOrNone[T interface {
	IsValid() bool
	fmt.Stringer
}](value T) string {
	if !value.IsValid() {
		return ""
	}
	return value.String()
}

// sources returns the states of a network's sources.
func (d *daemon) sources(n *config.Network) []api.SourceState {
	var all []api.SourceState
	for i, s := range d.allocations.sources.states(n) {
		one := api.SourceState{
			Kind: api.Source(n.Sources[i].Kind), Of: n.Sources[i].Of, Bindings: len(s.Leases),
			Read: timeOrNil(s.Read), FailedAt: timeOrNil(s.FailedAt),
		}
		if s.Err != nil {
			one.Error = s.Err.Error()
		}
		for _, l := range s.LeftOut[:min(len(s.LeftOut), maxLeftOut)] {
			one.LeftOut = append(one.LeftOut, l.String())
		}
		all = append(all, one)
	}
	return all
}

// maxLeftOut is the most entries of a source that the status names.
const maxLeftOut = 10

// located returns a binding with its location.
func located(f registries, network string, b registry.Binding) api.Binding {
	found := api.BindingOf(network, b)
	if l, ok := f.Location(network, b.MAC); ok {
		found.Location = &api.Location{Port: l.Port, Since: l.Since, From: string(l.From)}
	}
	return found
}

// LookupAddress implements [api.Fabric].
func (d *daemon) LookupAddress(addr netip.Addr) []api.Binding {
	all := []api.Binding{}
	for _, n := range d.fabric.Config().Networks {
		if b, ok := n.Registry.Lookup(addr); ok {
			all = append(all, located(d.fabric, n.Name, b))
		}
	}
	return all
}

// LookupMAC implements [api.Fabric].
func (d *daemon) LookupMAC(mac registry.MAC) []api.Binding {
	return d.search(api.MaxBindings, func(b registry.Binding) bool { return b.MAC == mac || b.Candidates.Contains(mac) })
}

// LookupName implements [api.Fabric].
func (d *daemon) LookupName(name string) []api.Binding {
	return d.search(api.MaxBindings, func(b registry.Binding) bool { return b.Name == name })
}

// Explain implements [api.Fabric]. It explains by the configuration alone if the question names no port, or an interface
// of a network that sees no ports there, such as one that waits.
func (d *daemon) Explain(q explain.Question) (explain.Explanation, error) {
	if ingresses := d.fabric.Ingresses(q.Network, q.Port); len(ingresses) > 0 {
		return q.AnswerAt(ingresses)
	}
	networks := d.fabric.Config().Networks
	if ports := d.fabric.PortNames(q.Network); len(ports) > 0 {
		if err := q.CheckPort(networks, ports); err != nil {
			return explain.Explanation{}, err
		}
	}
	return q.Answer(networks)
}

// maxTextPrefixBindings is enough for the completion of an address in a shell.
const maxTextPrefixBindings = 100

// LookupTextPrefix implements [api.Fabric].
func (d *daemon) LookupTextPrefix(text string) []api.Binding {
	return d.search(maxTextPrefixBindings, func(b registry.Binding) bool {
		return !b.IsAlone() && strings.HasPrefix(b.First.String(), text)
	})
}

// search returns the first bindings that match, at most limit, sorted by network and address.
func (d *daemon) search(limit int, match func(registry.Binding) bool) []api.Binding {
	all := []api.Binding{}
	for _, n := range d.fabric.Config().Networks {
		for b := range n.Registry.All() {
			if len(all) == limit {
				return all
			}
			if match(b) {
				all = append(all, located(d.fabric, n.Name, b))
			}
		}
	}
	return all
}

// Reload implements [api.Fabric].
func (d *daemon) Reload(ctx context.Context) error { return d.reloader.Reload(ctx) }

// Listen implements [api.Fabric].
func (d *daemon) Listen(f event.Filter, capacity, last int) *event.Listener {
	return d.fabric.Listen(f, capacity, last)
}
