package fabric

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/violation"
	"github.com/arpfabric/arpfabric/internal/watch"
	"github.com/arpfabric/arpfabric/internal/wire"
	"golang.org/x/sync/errgroup"
)

// Fabric is the fabric of one host.
type Fabric struct {
	log     *slog.Logger
	inForce atomic.Pointer[config.Config] // that New was given, or the last Reload

	// These belong to the goroutine that follows the interfaces, once Run has started it.
	networks []*network
	bridges  *line // that all bridges and sidecars share; nil until there is one
	guard    *guard.Guard
	sidecars *guard.Sidecars
	guarding bool      // the guard is in the kernel
	sayOpen  sync.Once // that the kernel can't keep newcomers apart
	learning learning
	admitted admitted
	tasks    *errgroup.Group

	mark       uint32 // of the answers that leave by the shared line
	hosts      *hosts // set with bridges
	ports      atomic.Pointer[ports]
	violations *violation.Table
	events     event.Stream
	latency    latency
	serving    atomic.Pointer[[]*line]
	watchers   []*watch.Watcher // set before ready

	strays  atomic.Uint64 // frames from interfaces that are no port (any more)
	robbed  atomic.Uint64 // how often the guard had to be installed again
	lost    atomic.Uint64 // what was lost on lines that are closed
	ready   chan struct{}
	reloads chan reload
	turns   chan struct{} // taken from by who follows the interfaces
}

// New makes a Fabric. Nothing happens before Run.
func New(cfg *config.Config, log *slog.Logger) *Fabric {
	mark := 1 + rand.Uint32N(math.MaxUint32) // any but 0, and hard to guess
	f := &Fabric{
		log:        log,
		guard:      guard.New(wire.Group),
		sidecars:   guard.NewSidecars(wire.Group, mark),
		mark:       mark,
		learning:   learning{},
		admitted:   admitted{},
		violations: violation.New(log, time.Now),
		ready:      make(chan struct{}),
		reloads:    make(chan reload),
		turns:      make(chan struct{}),
	}
	f.inForce.Store(cfg)
	f.ports.Store(newPorts())
	return f
}

// Ready is closed when all networks are guarded and answered.
func (f *Fabric) Ready() <-chan struct{} { return f.ready }

// Run runs the fabric until ctx ends and returns nil then: what the configuration does not say to hold has
// been removed. If it can't start it changes nothing, and its error says all that is missing. If it fails
// later, the guard stays.
func (f *Fabric) Run(ctx context.Context) error {
	claim, err := claimNamespace("stop it, or add your network to its configuration")
	if err != nil {
		return err
	}
	defer claim.close()
	interfaces, err := watch.Interfaces() // before the first look, so that no change is missed
	if err != nil {
		return err
	}
	defer interfaces.Close()
	var running context.Context
	f.tasks, running = errgroup.WithContext(ctx)
	defer f.closeLines()
	if err := f.begin(); err != nil {
		return err
	}
	f.watchers = append(f.watchers, interfaces)
	ruleset := f.watchRuleset(running)
	close(f.ready)
	debug.FreeOSMemory() // what it took to load the registries and to write the guard
	f.tasks.Go(func() error { return interfaces.Run(running) })
	f.tasks.Go(func() error {
		defer f.closeLines() // ends the reads
		return f.followChanges(running, interfaces.Changed(), ruleset)
	})
	if err := f.tasks.Wait(); err != nil {
		return err
	}
	f.log.Info("stopping")
	err = errors.Join(f.release(), f.releaseSidecars())
	if f.hosts != nil {
		f.hosts.close()
	}
	return err
}

// A table is one of the two that guard.
type table interface {
	IsThere() bool
	Remove() error
}

// begin puts the configuration in force, and removes what a killed fabric has left and nobody needs any more. Where that
// fails, it removes the tables that were not there before. One that was stays, or what has taken its place: its guests
// are not to be exposed.
func (f *Fabric) begin() error {
	made := slices.DeleteFunc([]table{f.guard, f.sidecars}, table.IsThere)
	err := f.adopt(f.inForce.Load())
	if err == nil {
		err = removeTables(f.unused())
	}
	if err == nil {
		return nil
	}
	if f.hosts != nil {
		f.hosts.close()
	}
	return errors.Join(err, removeTables(made), f.restoreLearning(nil))
}

// unused returns the tables that nothing is guarded by.
func (f *Fabric) unused() []table {
	var unused []table
	if !f.guarding {
		unused = append(unused, f.guard)
	}
	if !slices.ContainsFunc(f.networks, func(n *network) bool { return n.sidecar() != nil }) {
		unused = append(unused, f.sidecars)
	}
	return unused
}

// removeTables removes those there are. To ask first needs no nftables, and no privilege.
func removeTables(tables []table) error {
	var problems []error
	for _, t := range tables {
		if t.IsThere() {
			problems = append(problems, t.Remove())
		}
	}
	return errors.Join(problems...)
}

// watchRuleset tells when the ruleset has changed. Where that can't be heard of, it never does: not every
// attachment needs nftables, and the guard is looked at every now and then in any case.
func (f *Fabric) watchRuleset(ctx context.Context) <-chan struct{} {
	w, err := watch.Ruleset(guard.TableName)
	if err != nil {
		f.log.Debug("changes of the guard are noticed late", "error", err, "after", guardCheckInterval)
		return nil
	}
	f.watchers = append(f.watchers, w)
	f.tasks.Go(func() error {
		defer w.Close()
		return w.Run(ctx)
	})
	return w.Changed()
}

// lines returns all lines.
func (f *Fabric) lines() []*line {
	var all []*line
	if f.bridges != nil {
		all = append(all, f.bridges)
	}
	for _, n := range f.networks {
		if n.line != nil {
			all = append(all, n.line)
		}
	}
	return all
}

func (f *Fabric) closeLines() {
	for _, l := range f.lines() {
		l.close()
	}
}

// Release removes a guard that a fabric has left behind: one that was told to hold it, or was killed. It is
// an error if a fabric runs, which would only install it again.
func Release() error {
	claim, err := claimNamespace("stop it first: it would install its guard again")
	if err != nil {
		return err
	}
	defer claim.close()
	return errors.Join(guard.New(wire.Group).Remove(), guard.NewSidecars(wire.Group, 0).Remove())
}

// release removes the guard, but for what the configuration says to hold.
func (f *Fabric) release() error {
	if !f.guarding {
		return nil
	}
	var held guard.Plan
	networks := slices.DeleteFunc(slices.Clone(f.networks), func(n *network) bool { return n.config().OnStop != config.Hold })
	for _, n := range networks {
		n.attachment.plan(&held)
	}
	err := f.restoreLearning(networks)
	if held.IsEmpty() {
		return errors.Join(err, f.guard.Remove())
	}
	return errors.Join(err, f.guard.Apply(held))
}

// restoreLearning makes bridges learn as they did before, but for those of some networks.
func (f *Fabric) restoreLearning(but []*network) error {
	s, err := link.Take()
	if err != nil {
		return err
	}
	return f.learning.follow(but, s)
}

// guards reports whether there is anything that the kernel has to guard.
func (f *Fabric) guards() bool {
	return slices.ContainsFunc(f.networks, func(n *network) bool { return n.config().Attach.Bridge != "" })
}
