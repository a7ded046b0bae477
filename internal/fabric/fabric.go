package fabric

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/violation"
	"github.com/arpfabric/arpfabric/internal/watch"
	"golang.org/x/sync/errgroup"
)

// Fabric is the fabric of one host.
type Fabric struct {
	log      *slog.Logger
	datapath datapath.Datapath
	inForce  atomic.Pointer[config.Config] // the configuration of New, or of the last Reload or SetRegistry

	// Only the loop uses these once Run has started it.
	networks   []*network
	shared     *connServer   // serves the datapath, for all bridges and sidecars; nil until one of these is opened
	answered   *connServer   // serves the requests that the datapath has answered itself; nil if it answers none
	interfaces link.Snapshot // as they were at the last reconciliation
	hasApplied bool          // the datapath has applied a plan
	warnings   []string      // warnings of the datapath that were logged
	tasks      *errgroup.Group
	announced  []sighting // announcements that have yet to leave by uplinks

	hosts      *hosts // set together with shared
	ports      atomic.Pointer[ports]
	violations *violation.Table
	events     event.Stream
	latency    latency
	seen       lastSeen
	serving    atomic.Pointer[[]*connServer]
	running    atomic.Pointer[[]*network] // the networks of the configuration in force
	watcher    *watch.Watcher             // watches interfaces; set before ready is closed
	fdbWatcher *watch.Watcher             // watches the FDB; set before ready is closed
	sightings  chan sighting
	takeovers  *takeovers
	located    chan struct{} // see LocationsChanged

	strays          atomic.Uint64 // frames from interfaces that are not, or no longer, ports
	guardReinstalls atomic.Uint64
	lost            atomic.Uint64 // losses of frames on servers that are closed
	ready           chan struct{}
	requests        chan request
	heartbeat       chan struct{} // the loop receives from it
}

// New returns a Fabric that guards ports by a datapath. It does not change the kernel before Run.
func New(cfg *config.Config, log *slog.Logger, d datapath.Datapath) *Fabric {
	f := &Fabric{
		log:        log,
		datapath:   d,
		violations: violation.New(log, time.Now),
		ready:      make(chan struct{}),
		requests:   make(chan request),
		heartbeat:  make(chan struct{}),
		sightings:  make(chan sighting, maxSightings),
		takeovers:  newTakeovers(),
		located:    make(chan struct{}, 1),
	}
	f.inForce.Store(cfg)
	f.ports.Store(newPorts())
	f.running.Store(&[]*network{})
	f.events.OnHeard = func(isHeard bool) { d.Show(isHeard || f.isDebugging()) }
	return f
}

// Ready returns a channel that is closed when all networks are guarded and requests are answered.
func (f *Fabric) Ready() <-chan struct{} { return f.ready }

// Run runs the fabric until ctx ends. It then removes the guard, except of networks that the configuration says to
// hold, and returns nil. If it cannot start, it undoes its changes, and the error names everything that is missing. If
// it fails later, the guard stays.
func (f *Fabric) Run(ctx context.Context) error {
	lock, err := lockInstance("stop it, or add your network to its configuration")
	if err != nil {
		return err
	}
	defer lock.close()
	// Interfaces are watched before they are first read, so that no change is missed.
	if f.watcher, err = watch.Interfaces(); err != nil {
		return err
	}
	defer f.watcher.Close()
	if f.fdbWatcher, err = watch.FDB(f.isAboutLocations); err != nil {
		return err
	}
	defer f.fdbWatcher.Close()
	var running context.Context
	f.tasks, running = errgroup.WithContext(ctx)
	defer f.closeServers()
	if err := f.begin(); err != nil {
		return err
	}
	f.tasks.Go(func() error { f.watchGuard(running); return nil })
	f.updateLastSeen()
	close(f.ready)
	debug.FreeOSMemory() // loading the registries and installing the guard has left much garbage
	f.tasks.Go(func() error { return f.watcher.Run(running) })
	f.tasks.Go(func() error { return f.fdbWatcher.Run(running) })
	f.tasks.Go(func() error {
		defer f.closeServers() // makes the servers' reads return
		return f.loop(running, f.watcher.Changed(), f.fdbWatcher.Changed())
	})
	if err := f.tasks.Wait(); err != nil {
		return err
	}
	f.log.Info("stopping")
	// The guard goes first: without it guests can answer, and while the host's neighbour entries exist, the host asks
	// no guest.
	err = f.release()
	if f.hosts != nil {
		f.hosts.close()
	}
	return err
}

// begin puts the configuration in force. If it fails, it removes what it has installed, but keeps the guard of an
// earlier fabric, so that the guests of that fabric are not exposed.
func (f *Fabric) begin() error {
	err := f.applyConfig(f.inForce.Load())
	if err == nil {
		return nil
	}
	if f.hosts != nil {
		f.hosts.close()
	}
	return errors.Join(err, f.datapath.Rollback())
}

// watchGuard runs the datapath's Watch until ctx ends. If that fails, the loop still checks the guard at intervals.
func (f *Fabric) watchGuard(ctx context.Context) {
	if err := f.datapath.Watch(ctx); err != nil {
		f.log.Warn("cannot subscribe to changes of the guard; checking it every "+guardCheckInterval.String(), "error", err)
	}
}

// release removes the guard, except of the networks that the configuration says to hold.
func (f *Fabric) release() error {
	s, err := link.ReadSnapshot()
	if err != nil {
		s = f.interfaces // the last known ones: the guard must be removed even if interfaces cannot be listed
	}
	held := slices.DeleteFunc(slices.Clone(f.networks), func(n *network) bool { return n.config().OnStop != config.Hold })
	if len(held) > 0 && len(held) == len(f.networks) {
		return nil // also of the networks that still wait, if an earlier fabric guarded them
	}
	return f.datapath.Apply(planOf(held), s)
}

// Release removes the guard that a fabric has left, because it was configured to hold the guard or was killed. It
// returns the names of the parts that it has removed. It returns an error if a fabric runs, which would install the guard
// again.
func Release(d datapath.Datapath) (removed []string, err error) {
	lock, err := lockInstance("stop it first: it would install its guard again")
	if err != nil {
		return nil, err
	}
	defer lock.close()
	parts := d.Parts()
	if err := d.Remove(); err != nil {
		return nil, err
	}
	return parts, nil
}

// servers returns the server of the datapath, if there is one, and those of the networks with a Conn of their own.
func (f *Fabric) servers() []*connServer {
	var all []*connServer
	if f.shared != nil {
		all = append(all, f.shared)
	}
	if f.answered != nil {
		all = append(all, f.answered)
	}
	for _, n := range f.networks {
		if n.server != nil {
			all = append(all, n.server)
		}
	}
	return all
}

func (f *Fabric) closeServers() {
	for _, s := range f.servers() {
		s.close()
	}
}
