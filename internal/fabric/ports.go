package fabric

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/link"
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

// portTable is all ports by ifindex. It is replaced whole.
type portTable map[int]*port

func (t portTable) count(n *network) int {
	count := 0
	for _, p := range t {
		if p.network == n {
			count++
		}
	}
	return count
}

// add puts an interface into the table, as the port that it was before if it was one.
func (t portTable) add(n *network, l link.Link, before portTable) {
	if p, ok := before[l.Index]; ok && p.network == n && p.link.Name == l.Name {
		t[l.Index] = p
		return
	}
	t[l.Index] = &port{link: l, network: n, in: responder.In{Port: l.Name}}
}

// follow brings the ports and the guard in line with the interfaces as they are.
func (f *Fabric) follow() error {
	s, err := link.Take()
	if err != nil {
		return err
	}
	before, now := *f.ports.Load(), portTable{}
	var plan guard.Plan
	var problems []error
	for _, n := range f.networks {
		links, err := n.attachment.follow(s)
		problems = append(problems, n.problem(err))
		for _, l := range links {
			now.add(n, l, before)
		}
		n.attachment.plan(&plan)
	}
	f.ports.Store(&now) // first, so that what the guard hands over finds its port
	if f.guards() {
		problems = append(problems, f.guard.Apply(plan))
	}
	f.logChanges(before, now)
	return errors.Join(problems...)
}

// followUntilDone calls follow until it succeeds: there may be no further change to set it off.
func (f *Fabric) followUntilDone(ctx context.Context) {
	const firstWait, longestWait = 50 * time.Millisecond, 2 * time.Second
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		err := f.follow()
		if err == nil {
			return
		}
		f.log.Error("can't follow the interfaces; trying again", "error", err, "in", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (f *Fabric) logChanges(before, now portTable) {
	select {
	case <-f.ready:
	default:
		return // at the start the networks are announced instead
	}
	for index, p := range before {
		if now[index] != p {
			f.log.Info("port gone", "network", p.network.Name, "port", p.link.Name)
		}
	}
	for index, p := range now {
		if before[index] != p {
			f.log.Info("port attached", "network", p.network.Name, "port", p.link.Name)
		}
	}
}
