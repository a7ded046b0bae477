package bpf

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Datapath is the [datapath.Datapath] of eBPF, with another one beneath. What the programs can't do, that one does: if the
// programs can't be brought in line with a plan, they are taken off the ports, and Warnings says so.
type Datapath struct {
	datapath.Datapath // beneath

	answers         *answers // nil until Answers, or until the first program is loaded
	networks, ports numbers

	program  *program // nil if none is attached
	have     contents // of the program's maps
	plan     datapath.Plan
	links    link.Snapshot           // as they were when the plan was made
	joined   map[uint32]time.Time    // when the ports have joined that have yet to get the program; nil before the first plan
	places   map[uint32]place        // what was attached when Apply or Intact looked last; nil if nobody has
	sockets  map[uint32]*wire.Packet // of the plan's interfaces, by ifindex
	refused  map[uint32]*refusal     // why ports can't have the program; the datapath beneath handles their frames
	found    bool                    // an earlier fabric's programs were attached before the first Apply
	isFirst  bool                    // Apply has not been called
	settling time.Duration

	mu        sync.Mutex // for what several goroutines use
	failure   error      // why no program is attached
	running   *program   // the same as program
	names     map[uint32]string
	detours   []string
	left      []string // why the fabric answers some requests
	isWatched bool
}

var _ datapath.Datapath = (*Datapath)(nil)

// New returns a Datapath with another one beneath. It does not change the kernel.
func New(beneath datapath.Datapath) *Datapath {
	return &Datapath{Datapath: beneath, networks: numbers{}, ports: numbers{}, settling: settling, isFirst: true}
}

// Remove removes the programs that any process or version has left. It is no error if there are none.
func Remove() error {
	found, err := places(nil)
	return errors.Join(err, detachAll(nil, found), detachOwnRequests())
}

// Apply implements [datapath.Datapath]. The programs come first, because they take less time than the datapath beneath, and
// handle only what is allowed. If they fail, Apply goes on without them. A sidecar's guard stops handing requests to the program
// before the program goes, so that none is lost.
func (d *Datapath) Apply(p datapath.Plan, s link.Snapshot) error {
	if d.isFirst {
		d.isFirst = false
		d.found = isAnyAttached()
	}
	d.plan, d.links = p, s
	if d.losesSidecars(p) {
		if err := d.Datapath.Apply(p, s); err != nil {
			return err
		}
	}
	failure := d.accelerate(p, s)
	d.setFailure(failure)
	if failure != nil {
		return errors.Join(d.takeOff(), d.Datapath.Apply(p, s))
	}
	return d.Datapath.Apply(d.forBeneath(p), s)
}

// accelerate brings the maps in line with a plan, and attaches the program to the ports.
func (d *Datapath) accelerate(p datapath.Plan, s link.Snapshot) error {
	d.refused = nil
	found, err := places(d.places)
	if err != nil {
		return err
	}
	d.places = found
	want := d.contentsOf(p, s, detours(found, s))
	d.noteNew(want.ports, found)
	if len(want.ports) == 0 {
		return d.takeOff()
	}
	replaced, err := d.fill(want)
	if err != nil {
		return err
	}
	settled := d.settled(want.ports)
	d.followInterfaces(socketsOf(p, s))
	d.refused = attachAll(d.program.Arpfabric, idOf(d.program.Arpfabric), settled, found)
	for index := range settled {
		if err := d.filterSocket(index); err != nil {
			return err
		}
	}
	if len(d.refused) > 0 && len(d.refused) == len(settled) {
		return errors.New(strings.Join(d.reasons(), "\n"))
	}
	if err := errors.Join(d.followSidecars(want), detachAll(want.ports, found)); err != nil {
		return err
	}
	d.setRunning(want, s)
	if replaced != nil {
		return replaced.Close()
	}
	return nil
}

// settling is how long a port is without the program after it has joined. In that time libvirt adds a qdisc for ingress to
// the port of a virtual machine with a <bandwidth>, and does not start the machine if there is one already.
const settling = 3 * time.Second

// noteNew notes when ports have joined. Those of the first plan may have been there for long.
func (d *Datapath) noteNew(ports map[uint32]guardPort, found map[uint32]place) {
	for index := range ports {
		if _, known := d.have.ports[index]; !known && d.joined != nil && found[index].own == nil {
			d.joined[index] = time.Now()
		}
	}
	if d.joined == nil {
		d.joined = map[uint32]time.Time{}
	}
	maps.DeleteFunc(d.joined, func(index uint32, _ time.Time) bool { _, stays := ports[index]; return !stays })
}

// settled returns the ports that are to have the program by now.
func (d *Datapath) settled(ports map[uint32]guardPort) map[uint32]guardPort {
	now := maps.Clone(ports)
	maps.DeleteFunc(now, func(index uint32, _ guardPort) bool { return time.Since(d.joined[index]) < d.settling })
	return now
}

// attachSettled attaches the program to the ports that have waited for it. It reports whether all of them could have it.
func (d *Datapath) attachSettled() (all bool) {
	all = true
	for index, since := range d.joined {
		if time.Since(since) < d.settling {
			continue
		}
		if err := attach(index, d.program.Arpfabric); err != nil {
			d.refused[index], all = &refusal{err, d.places[index].others()}, false
		}
		delete(d.joined, index)
		all = d.filterSocket(index) == nil && all
	}
	return all
}

// fill writes contents into the maps. If the maps are too small, or there are none, it loads another program, and returns the
// one that is replaced.
func (d *Datapath) fill(want contents) (replaced *program, err error) {
	if d.program != nil {
		err := d.program.write(d.have, want, d.ports)
		if err == nil {
			d.have = want
		}
		if !isFull(err) {
			return nil, err
		}
	}
	if err := d.openAnswers(); err != nil {
		return nil, err
	}
	next, err := load(want.needed().withRoom(), d.answers.shared())
	if err != nil {
		return nil, err
	}
	if err := next.write(contents{}, want, d.ports); err != nil {
		return nil, errors.Join(err, next.Close())
	}
	if d.program != nil {
		next.takeCounts(d.program, want)
	}
	replaced, d.program, d.have = d.program, next, want
	return replaced, nil
}

// isFull reports whether a map has no room for an entry.
func isFull(err error) bool { return errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) }

// takeOff removes the program from all ports. The datapath beneath then does everything.
func (d *Datapath) takeOff() error {
	taken := d.program
	d.program, d.have, d.places = nil, contents{}, nil
	d.followInterfaces(nil)                   // before the programs go: so every request has somebody who answers
	d.setRunning(contents{}, link.Snapshot{}) // before Close: other goroutines use the maps
	err := Remove()
	if taken != nil {
		err = errors.Join(err, taken.Close())
	}
	return err
}

// Rollback implements [datapath.Datapath].
func (d *Datapath) Rollback() error {
	if d.isFirst || d.found {
		return d.Datapath.Rollback()
	}
	return errors.Join(d.takeOff(), d.Datapath.Rollback())
}

// Remove implements [datapath.Datapath].
func (d *Datapath) Remove() error {
	// The guard beneath goes last, so that no guest is without one while it still has a program.
	return errors.Join(d.takeOff(), d.Datapath.Remove())
}

const part = "eBPF programs at tc"

// withPrograms adds the programs to the parts of a guard, if there are any.
func withPrograms(parts []string) []string {
	if isAnyAttached() {
		parts = append(parts, part)
	}
	return parts
}

// Parts implements [datapath.Datapath].
func (d *Datapath) Parts() []string {
	return withPrograms(d.Datapath.Parts())
}

// isAnyAttached reports whether a program of this package, of any process or version, is attached to a port.
func isAnyAttached() bool {
	if at, err := ownRequestsPlace(); err == nil && at.own != nil {
		return true
	}
	found, err := places(nil)
	if err != nil {
		return false
	}
	for _, at := range found {
		if at.own != nil {
			return true
		}
	}
	return false
}

// Intact implements [datapath.Datapath].
func (d *Datapath) Intact(quick bool) []string {
	changed := d.Datapath.Intact(quick)
	if !d.isIntact() {
		changed = append(changed, part)
	}
	return changed
}

// isIntact reports whether the programs are where Apply has attached them, and can't be where it could not.
func (d *Datapath) isIntact() bool {
	if d.program == nil && len(d.refused) == 0 {
		return true
	}
	areAttached := d.program == nil || d.attachSettled() // if not, Apply says why
	found, err := places(nil)
	if err != nil {
		return areAttached // as long as it can't find out
	}
	if d.program == nil {
		return !d.isAnyFree(found)
	}
	d.places = found
	if err := d.followOthers(found); err != nil {
		d.setFailure(err)
		return false
	}
	return areAttached && d.haveAll(found) && !d.isAnyFree(found) && d.isIntactForGuests()
}

// haveAll reports whether all ports have the program that can.
func (d *Datapath) haveAll(found map[uint32]place) bool {
	id := idOf(d.program.Arpfabric)
	for index := range d.have.ports {
		_, isNew := d.joined[index]
		if !isNew && d.refused[index] == nil && !found[index].has(id) && exists(index) {
			return false
		}
	}
	return true
}

// isAnyFree reports whether others have left, or changed, what may have kept a port from having the program.
func (d *Datapath) isAnyFree(found map[uint32]place) bool {
	for index, r := range d.refused {
		if index != loopback && found[index].others() != r.others && exists(index) {
			return true
		}
	}
	return false
}

// exists reports whether a port has not just gone.
func exists(port uint32) bool {
	_, err := net.InterfaceByIndex(int(port))
	return err == nil
}

// followOthers stops sending frames past the bridge where others have begun to look at what crosses it, or does so again.
func (d *Datapath) followOthers(found map[uint32]place) error {
	want := d.contentsOf(d.plan, d.links, detours(found, d.links))
	if err := d.program.write(d.have, want, d.ports); err != nil {
		return err
	}
	d.have = want
	d.setRunning(want, d.links)
	return nil
}

// idOf returns the number that the kernel has given to a program, or 0 if it can't find out.
func idOf(p *ebpf.Program) ebpf.ProgramID {
	info, err := p.Info()
	if err != nil {
		return 0
	}
	id, _ := info.ID()
	return id
}

// Warnings implements [datapath.Datapath].
func (d *Datapath) Warnings() []string {
	warnings := d.Datapath.Warnings()
	if err := d.Failure(); err != nil {
		warnings = append(warnings, fmt.Sprintf("the kernel does not answer by itself, so that the fabric answers all requests: %v", err))
	}
	for _, why := range d.reasons() {
		warnings = append(warnings, "the fabric answers some requests itself: "+why)
	}
	for _, why := range d.have.detours {
		warnings = append(warnings, "frames between guests cross the bridge, which is slower: "+why)
	}
	return warnings
}

// reasons returns why the programs are not everywhere, sorted.
func (d *Datapath) reasons() (all []string) {
	for _, r := range d.refused {
		all = append(all, r.Error())
	}
	slices.Sort(all)
	return all
}

// Failure returns why no program is attached although the plan wants one, or nil. Any goroutine may call it.
func (d *Datapath) Failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failure
}

func (d *Datapath) setFailure(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failure = err
}

// setRunning makes the program known to the methods that any goroutine may call.
func (d *Datapath) setRunning(c contents, s link.Snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running, d.names, d.detours, d.left = d.program, map[uint32]string{}, c.detours, d.reasons()
	d.show()
	for index := range c.indexes() {
		if l, ok := s.FindIndex(int(index)); ok {
			d.names[index] = l.Name
		}
	}
}

// Counters implements [datapath.Datapath].
func (d *Datapath) Counters() (map[string]datapath.Counters, error) {
	all, err := d.Datapath.Counters()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for index, name := range d.names {
		var perCPU []guardCounters
		if err := d.running.Counts.Lookup(index, &perCPU); err != nil {
			continue // the port is new
		}
		all[name] = withCounts(all[name], perCPU)
	}
	return all, nil
}

// actions are those of the reasons for which the program handles a frame.
var actions = map[responder.Reason]responder.Action{
	responder.RateLimited: responder.Drop, responder.SelfProbe: responder.Reply, responder.ConflictProbe: responder.Reply,
	responder.Answered: responder.Reply, responder.Admitted: responder.Pass, responder.MisplacedChecksum: responder.Drop,
}

func withCounts(c datapath.Counters, perCPU []guardCounters) datapath.Counters {
	c.Handled = map[responder.Verdict]uint64{} // the datapath beneath handles none by itself
	for _, counters := range perCPU {
		for reason, n := range byReason(counters) {
			if n > 0 {
				c.Handled[responder.Verdict{Action: actions[reason], Reason: reason}] += n
			}
		}
	}
	return c
}

func byReason(c guardCounters) map[responder.Reason]uint64 {
	return map[responder.Reason]uint64{
		responder.RateLimited: c.RateLimited, responder.SelfProbe: c.SelfProbe, responder.ConflictProbe: c.ConflictProbe,
		responder.Answered: c.Answered, responder.Admitted: c.Admitted, responder.MisplacedChecksum: c.MisplacedChecksum,
	}
}
