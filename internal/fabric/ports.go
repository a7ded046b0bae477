package fabric

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
)

// A port is an interface on which frames of guests enter, in one of its lives: one that is deleted and
// made anew is another port.
type port struct {
	link    link.Link
	network *network
	in      responder.In
	counts  [responder.NumReasons]atomic.Uint64
}

// ports is all ports, and, by bridge, the host's own stack, which is a guest too. It is replaced whole.
type ports struct {
	byIndex map[int]*port
	hosts   map[*network]*port
}

func newPorts() *ports { return &ports{byIndex: map[int]*port{}, hosts: map[*network]*port{}} }

// from returns the port that a frame came in by, or nil.
func (t *ports) from(frame wire.Frame) *port {
	p := t.byIndex[frame.Port]
	if frame.FromHost && p != nil {
		return t.hosts[p.network]
	}
	return p
}

// all returns the ports and then the hosts.
func (t *ports) all() []*port {
	return slices.Concat(slices.Collect(maps.Values(t.byIndex)), slices.Collect(maps.Values(t.hosts)))
}

func (t *ports) count(n *network) int {
	count := 0
	for _, p := range t.byIndex {
		if p.network == n {
			count++
		}
	}
	return count
}

// add puts an interface into the table, as the port that it was before if it was one.
func (t *ports) add(n *network, l link.Link, before *ports) {
	in := responder.In{Port: l.Name, Source: sourceOf(n.config().Attach, l)}
	t.byIndex[l.Index] = before.byIndex[l.Index].or(n, l, in)
}

// sourceOf returns the Ethernet source of answers where a switch that isn't the host's may learn from them. A
// TAP can't have its own: what it is plugged into takes that for a frame of its own that has come back.
func sourceOf(a config.Attachment, l link.Link) (source responder.MAC) {
	switch {
	case a.Interface != "":
		copy(source[:], l.MAC)
	case a.TAP != "" && a.Bridge == "":
		source = config.DenyMAC
	}
	return source
}

// addHost puts the host's stack on a bridge into the table.
func (t *ports) addHost(n *network, bridge link.Link, before *ports) {
	t.hosts[n] = before.hosts[n].or(n, bridge, responder.In{Port: bridge.Name})
}

// or returns p, which may be nil, if it is the port described, else a new one.
func (p *port) or(n *network, l link.Link, in responder.In) *port {
	if p != nil && p.network == n && p.link.Index == l.Index && p.in == in {
		return p
	}
	return &port{link: l, network: n, in: in}
}

// follow brings the ports and the guard in line with the interfaces as they are.
func (f *Fabric) follow() error {
	s, err := link.Take()
	if err != nil {
		return err
	}
	before, now := f.ports.Load(), newPorts()
	var plan guard.Plan
	var problems []error
	for _, n := range f.networks {
		links, err := n.attachment.follow(s)
		problems = append(problems, n.problem(err))
		for _, l := range links {
			now.add(n, l, before)
		}
		if bridge, ok := n.hostOn(s); ok {
			now.addHost(n, bridge, before)
		}
		n.attachment.plan(&plan)
	}
	if err := errors.Join(problems...); err != nil && !f.isReady() {
		return err // nothing has been changed yet
	}
	f.ports.Store(now) // first, so that what the guard hands over finds its port
	problems = append(problems, f.applyGuard(plan))
	f.logChanges(before.byIndex, now.byIndex)
	if f.hosts != nil {
		f.hosts.refresh(slices.Collect(maps.Values(now.hosts)))
	}
	return errors.Join(problems...)
}

// followChanges calls follow after every change of interfaces, and again after it failed: there may be no
// further change to set it off. Between these it sees to it that the guard stays, and carries reloads out.
// It returns nil when ctx ends.
func (f *Fabric) followChanges(ctx context.Context, interfaces, ruleset <-chan struct{}) error {
	const firstWait, longestWait = 50 * time.Millisecond, 2 * time.Second
	guardCheck := time.NewTicker(guardCheckInterval)
	defer guardCheck.Stop()
	var retry <-chan time.Time
	wait := firstWait
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-f.reloads:
			r.done <- f.adopt(r.config)
			continue
		case <-ruleset:
			if f.guardIsIntact() {
				continue
			}
		case <-guardCheck.C:
			if f.guardIsIntact() {
				continue
			}
		case <-interfaces:
		case <-retry:
		}
		if err := f.follow(); err != nil {
			f.log.Error("can't follow the interfaces; trying again", "error", err, "in", wait)
			retry, wait = time.After(wait), min(2*wait, longestWait)
		} else {
			retry, wait = nil, firstWait
		}
	}
}

// guardCheckInterval is how often the guard is looked at even where no message says that it was changed.
const guardCheckInterval = 5 * time.Second

func (f *Fabric) guardIsIntact() bool {
	if f.guard.Intact() {
		return true
	}
	f.robbed.Add(1)
	f.log.Warn("somebody has changed the guard; installing it again", "table", "bridge "+guard.TableName)
	return false
}

// applyGuard brings the guard to plan, and takes it away where nothing is to be guarded any more.
func (f *Fabric) applyGuard(plan guard.Plan) error {
	switch guards := f.guards(); {
	case guards:
		f.guarding = true
		return f.guard.Apply(plan)
	case f.guarding:
		f.guarding = false
		return f.guard.Remove()
	}
	return nil
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
		return // the networks are announced instead
	}
	for index, p := range before {
		if now[index] != p {
			f.log.Info("port gone", "network", p.network.config().Name, "port", p.link.Name)
		}
	}
	for index, p := range now {
		if before[index] != p {
			f.log.Info("port attached", "network", p.network.config().Name, "port", p.link.Name)
		}
	}
}
