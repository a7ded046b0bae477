package fabric

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/watch"
	"github.com/arpfabric/arpfabric/internal/wire"
	"golang.org/x/sync/errgroup"
)

// Fabric is the fabric of one host.
type Fabric struct {
	log    *slog.Logger
	config *config.Config // that New was given, or the last Reload

	// These belong to the goroutine that follows the interfaces, once Run has started it.
	networks []*network
	bridges  *line // that all bridges share; nil until there is one
	guard    *guard.Guard
	guarding bool // the guard is in the kernel
	tasks    *errgroup.Group

	hosts   *hosts // set with bridges
	ports   atomic.Pointer[ports]
	strays  atomic.Uint64 // frames from interfaces that are no port (any more)
	robbed  atomic.Uint64 // how often the guard had to be installed again
	ready   chan struct{}
	reloads chan reload
}

// New makes a Fabric. Nothing happens before Run.
func New(cfg *config.Config, log *slog.Logger) *Fabric {
	f := &Fabric{
		log:     log,
		config:  cfg,
		guard:   guard.New(wire.Group),
		ready:   make(chan struct{}),
		reloads: make(chan reload),
	}
	f.ports.Store(newPorts())
	return f
}

// Ready is closed when all networks are guarded and answered.
func (f *Fabric) Ready() <-chan struct{} { return f.ready }

// Run runs the fabric until ctx ends and returns nil then: what the configuration does not say to hold has
// been removed. If it can't start it changes nothing, and its error says all that is missing. If it fails
// later, the guard stays.
func (f *Fabric) Run(ctx context.Context) error {
	claim, err := claimNamespace()
	if err != nil {
		return err
	}
	defer claim.Close()
	interfaces, err := watch.Interfaces() // before the first look, so that no change is missed
	if err != nil {
		return err
	}
	defer interfaces.Close()
	var running context.Context
	f.tasks, running = errgroup.WithContext(ctx)
	defer f.closeLines()
	if err := f.adopt(f.config); err != nil {
		return err
	}
	close(f.ready)
	ruleset := f.watchRuleset(running)
	f.tasks.Go(func() error { return interfaces.Run(running) })
	f.tasks.Go(func() error {
		defer f.closeLines() // ends the reads
		return f.followChanges(running, interfaces.Changed(), ruleset)
	})
	if err := f.tasks.Wait(); err != nil {
		return err
	}
	f.log.Info("stopping")
	if f.hosts != nil {
		f.hosts.close()
	}
	return f.release()
}

// watchRuleset tells when the ruleset has changed. Where that can't be heard of, it never does: not every
// attachment needs nftables, and the guard is looked at every now and then in any case.
func (f *Fabric) watchRuleset(ctx context.Context) <-chan struct{} {
	w, err := watch.Ruleset()
	if err != nil {
		f.log.Debug("changes of the guard are noticed late", "error", err, "after", guardCheckInterval)
		return nil
	}
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
	claim, err := claimNamespace()
	if err != nil {
		return err
	}
	defer claim.Close()
	return guard.New(wire.Group).Remove()
}

// release removes the guard, but for what the configuration says to hold.
func (f *Fabric) release() error {
	if !f.guarding {
		return nil
	}
	var held guard.Plan
	for _, n := range f.networks {
		if n.config().OnStop == config.Hold {
			n.attachment.plan(&held)
		}
	}
	if held.IsEmpty() {
		return f.guard.Remove()
	}
	return f.guard.Apply(held)
}

// guards reports whether there is anything that the kernel has to guard.
func (f *Fabric) guards() bool {
	return slices.ContainsFunc(f.networks, func(n *network) bool { return n.config().Attach.Bridge != "" })
}
