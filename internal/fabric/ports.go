package fabric

import (
	"context"
	"errors"
	"log/slog"
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
	kind    PortKind
	in      responder.In
	counts  *counts // of all of its life
}

type counts [responder.NumReasons][responder.NumActions]atomic.Uint64

// ports is all ports, and, by segment, the host's own stack, which is a guest too. It is replaced whole.
type ports struct {
	byIndex map[int]*port
	hosts   map[segment]*port
	uplinks map[uplink]*port
}

// An uplink is a member of a bridge that leads elsewhere, as one network sees it: those on several VLANs may have
// the same one.
type uplink struct {
	index int
	vlan  uint16 // of the tag that the network's frames have there; 0 for none
}

func newPorts() *ports {
	return &ports{byIndex: map[int]*port{}, hosts: map[segment]*port{}, uplinks: map[uplink]*port{}}
}

// from returns the port that a frame came in by, or nil.
func (t *ports) from(frame wire.Frame) *port {
	p := t.byIndex[frame.Port]
	switch {
	case p == nil:
		return t.uplinks[uplink{frame.Port, vlanOf(frame.Data)}]
	case frame.FromHost:
		return t.hosts[p.network.segment().ofHost(frame.Data)]
	}
	return p
}

// all returns the ports, then the hosts and the uplinks.
func (t *ports) all() []*port {
	return slices.Concat(slices.Collect(maps.Values(t.byIndex)),
		slices.Collect(maps.Values(t.hosts)), slices.Collect(maps.Values(t.uplinks)))
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
	in := responder.In{Port: l.Name, Source: sourceOf(n.config().Attach, l), Owner: ownerBehind(n.config().Attach, l)}
	t.byIndex[l.Index] = before.byIndex[l.Index].or(n, l, GuestPort, in)
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

// addHost puts the host's stack, on its own interface, into the table. Its frames are seen as they leave by the
// ports of guests, which may be tagged for VLANs other than the guest's.
func (t *ports) addHost(n *network, own link.Link, before *ports) {
	at := n.segment()
	t.hosts[at] = before.hosts[at].or(n, own, Host, responder.In{Port: own.Name, Trunk: at.vlan != 0})
}

// addUplinks puts the network's uplinks into the table. What is behind them learns from answers that the guests are
// behind the host's MAC, which is true, and not that the owner of an address is, who may be out there.
func (t *ports) addUplinks(n *network, s link.Snapshot, before *ports) {
	if !n.watched() {
		return
	}
	vlan := n.segment().vlan
	for _, l := range s.Members(n.segment().bridge) {
		if !slices.Contains(n.config().Attach.Uplinks, l.Name) {
			continue
		}
		at := uplink{l.Index, vlan}
		if l.VLAN == vlan {
			at.vlan = 0
		}
		in := responder.In{Port: l.Name, Uplink: true, Trunk: at.vlan != 0, Source: n.settings.Load().hostMAC}
		t.uplinks[at] = before.uplinks[at].or(n, l, Uplink, in)
	}
}

// or returns p, which may be nil, if it is the port described, else a new one, which goes on counting where p is the
// same port in other circumstances: a bridge gets another MAC when its members change.
func (p *port) or(n *network, l link.Link, kind PortKind, in responder.In) *port {
	switch next := (&port{link: l, network: n, kind: kind, in: in, counts: &counts{}}); {
	case !p.isSame(next):
		return next
	case p.in == in:
		return p
	default:
		next.counts = p.counts
		return next
	}
}

// isSame reports whether p and q, either of which may be nil, are the same port in the same life.
func (p *port) isSame(q *port) bool {
	return p != nil && q != nil && p.network == q.network && p.link.Index == q.link.Index && p.in.Port == q.in.Port
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
		n.noteHost(s)
		links, err := n.attachment.follow(s)
		problems = append(problems, n.problem(err))
		for _, l := range links {
			now.add(n, l, before)
		}
		if own, ok := n.hostOn(s); ok {
			now.addHost(n, own, before)
		}
		now.addUplinks(n, s, before)
		n.attachment.plan(&plan)
	}
	if err := errors.Join(problems...); err != nil && !f.isReady() {
		return err // nothing has been changed yet
	}
	f.ports.Store(now) // first, so that what the guard hands over finds its port
	if err := f.applySidecars(); err != nil {
		if !f.isReady() {
			return err
		}
		problems = append(problems, err)
	}
	err = f.applyGuard(plan)
	if err == nil {
		err = f.admitted.follow(plan, s)
	}
	problems = append(problems, err, f.learning.follow(f.networks, s))
	f.logChanges(before.byIndex, now.byIndex)
	if f.hosts != nil {
		f.hosts.refresh(slices.Collect(maps.Values(now.hosts)))
	}
	return errors.Join(problems...)
}

// followChanges calls follow after every change of interfaces, and again after it failed: there may be no
// further change to set it off, and what fails may change interfaces itself. Between these it sees to it that the
// guard stays, and carries reloads out. It returns nil when ctx ends.
func (f *Fabric) followChanges(ctx context.Context, interfaces, ruleset <-chan struct{}) error {
	guardCheck := time.NewTicker(guardCheckInterval)
	defer guardCheck.Stop()
	summaries := time.NewTicker(summaryInterval)
	defer summaries.Stop()
	var retry retry
	for {
		heard := interfaces
		if retry.due != nil {
			heard = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case r := <-f.reloads:
			err := f.adopt(r.config)
			r.done <- err
			if err == nil {
				retry.note(nil, f.log)
				continue
			}
		case <-f.turns:
			continue
		case <-ruleset:
			if f.guardIsIntact(f.guard.Intact) {
				continue
			}
		case <-summaries.C:
			f.violations.Summarise()
			continue
		case <-guardCheck.C:
			if f.guardIsIntact(f.guard.LooksIntact) {
				continue
			}
		case <-heard:
		case <-retry.due:
		}
		retry.note(f.follow(), f.log)
	}
}

// A retry is when to follow the interfaces again after that has failed. The zero retry is never.
type retry struct {
	due  <-chan time.Time
	wait time.Duration
	said string // in the log, once
}

// note notes how following the interfaces went.
func (r *retry) note(err error, log *slog.Logger) {
	const firstWait, longestWait = 50 * time.Millisecond, 400 * time.Millisecond
	if err == nil {
		*r = retry{}
		return
	}
	if r.said != err.Error() {
		r.said = err.Error()
		log.Error("can't follow the interfaces; trying again until it succeeds", "error", err)
	}
	r.wait = min(max(2*r.wait, firstWait), longestWait)
	r.due = time.After(r.wait)
}

// guardCheckInterval is how often the guard is looked at even where no message says that it was changed.
const guardCheckInterval = 5 * time.Second

// summaryInterval is how often violations that go on are summed up in the log.
const summaryInterval = time.Minute

// guardIsIntact reports whether the guard is as it should be, as far as one way to look at it tells.
func (f *Fabric) guardIsIntact(look func() bool) bool {
	var robbed []string
	if !look() {
		robbed = append(robbed, "bridge "+guard.TableName)
	}
	if !f.sidecars.Intact() {
		robbed = append(robbed, "netdev "+guard.TableName)
	}
	for _, table := range robbed {
		f.robbed.Add(1)
		f.log.Warn("somebody has changed the guard; installing it again", "table", table)
	}
	return len(robbed) == 0
}

// applyGuard brings the guard to plan, and takes it away where nothing is to be guarded any more.
func (f *Fabric) applyGuard(plan guard.Plan) error {
	switch guards := f.guards(); {
	case guards:
		f.guarding = true
		err := f.guard.Apply(plan)
		if err == nil && plan.KeepsApart() && !f.guard.ClosesBridges() {
			f.sayOpen.Do(func() {
				f.log.Warn("this kernel can't keep guests apart that join a bridge in the same moment, until the fabric knows " +
					"them; take one with CONFIG_NFT_BRIDGE_META")
			})
		}
		return err
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
