package fabric

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"golang.org/x/sync/errgroup"
)

// Fabric is the fabric of one host.
type Fabric struct {
	log      *slog.Logger
	networks []*network
	guard    *guard.Guard
	ports    atomic.Pointer[portTable]
	strays   atomic.Uint64 // frames from interfaces that are no port (any more)
	ready    chan struct{}
}

// New makes a Fabric. Nothing happens before Run.
func New(cfg *config.Config, log *slog.Logger) *Fabric {
	f := &Fabric{log: log, guard: guard.New(wire.Group), ready: make(chan struct{})}
	for _, n := range cfg.Networks {
		f.networks = append(f.networks, newNetwork(n))
	}
	f.ports.Store(&portTable{})
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
	watcher, err := link.NewWatcher() // before the first look, so that no change is missed
	if err != nil {
		return err
	}
	defer watcher.Close()
	conns, err := f.open()
	defer closeAll(conns)
	if err != nil {
		return err
	}
	if err := f.follow(); err != nil {
		return err
	}
	f.announce()
	close(f.ready)
	if err := f.runTasks(ctx, watcher, conns); err != nil {
		return err
	}
	f.log.Info("stopping")
	return f.release()
}

// open opens the Conns: one for all bridges, one for each TAP and each interface.
func (f *Fabric) open() ([]wire.Conn, error) {
	s, err := link.Take()
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, n := range f.networks {
		problems = append(problems, n.problem(n.attachment.check(s)))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	var conns []wire.Conn
	for _, open := range f.openers(s) {
		conn, err := open()
		if err != nil {
			return conns, err
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

// openers returns what opens each Conn.
func (f *Fabric) openers(s link.Snapshot) []func() (wire.Conn, error) {
	var openers []func() (wire.Conn, error)
	bridged := false
	for _, n := range f.networks {
		if a, ok := n.attachment.(opener); ok {
			openers = append(openers, func() (wire.Conn, error) {
				conn, err := a.open(s)
				return conn, n.problem(err)
			})
		} else {
			bridged = true
		}
	}
	if bridged {
		openers = append(openers, func() (wire.Conn, error) { return wire.OpenBridge() })
	}
	return openers
}

// runTasks runs everything that goes on, until ctx ends or a task fails.
func (f *Fabric) runTasks(ctx context.Context, watcher *link.Watcher, conns []wire.Conn) error {
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return watcher.Run(ctx, func() { f.followUntilDone(ctx) }) })
	for _, conn := range conns {
		tasks.Go(func() error { return f.serve(ctx, conn) })
	}
	tasks.Go(func() error {
		<-ctx.Done()
		closeAll(conns) // ends the reads
		return nil
	})
	return tasks.Wait()
}

// announce logs, once, what is attached.
func (f *Fabric) announce() {
	for _, n := range f.networks {
		f.log.Info("network attached", "network", n.Name, "mode", n.Mode, "attach", n.Attach,
			"bindings", n.Registry.Len(), "guard", n.Guard, "ports", f.ports.Load().count(n))
	}
}

// release removes the guard, but for what the configuration says to hold.
func (f *Fabric) release() error {
	if !f.guards() {
		return nil
	}
	var held guard.Plan
	for _, n := range f.networks {
		if n.OnStop == config.Hold {
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
	for _, n := range f.networks {
		if n.Attach.Bridge != "" {
			return true
		}
	}
	return false
}

func closeAll(conns []wire.Conn) {
	for _, c := range conns {
		c.Close()
	}
}
