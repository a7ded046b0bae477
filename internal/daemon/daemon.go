package daemon

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/daemon/systemd"
	"github.com/arpfabric/arpfabric/internal/datapath/bpf"
	"github.com/arpfabric/arpfabric/internal/datapath/choice"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/reload"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// A daemon is a fabric with its reloader. It implements [api.Fabric].
type daemon struct {
	log         *slog.Logger
	fabric      *fabric.Fabric
	datapath    *choice.Datapath
	reloader    *reload.Reloader
	allocations *allocations
	hosts       *hosts // nil without etcd
	started     time.Time
	page        atomic.Pointer[api.Page] // nil if the configuration has none
}

// Run runs the fabric of a configuration in this network namespace until ctx ends, and returns nil then. It reads the
// configuration at path by [config.LoadOnce], and reloads it by [config.Load]. If datapath is not "", it comes before that of
// the configuration. The log goes to standard error.
func Run(ctx context.Context, path string, datapath config.Datapath) error {
	// First: SIGHUP would end the process otherwise, and one that arrives during the start must lead to a reload after it.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	debug.SetGCPercent(gcPercent)
	started := time.Now()
	cfg, err := config.LoadOnce(path)
	if err != nil {
		return err
	}
	log, end := openLog(cfg.Log, os.Stderr)
	defer end()
	signal.Ignore(unix.SIGPIPE) // the reader of the log may exit; guests still need answers
	d, err := newDaemon(cfg, cmp.Or(datapath, cfg.Datapath), log, started)
	if err != nil {
		return err
	}
	return d.run(ctx, cfg, hangups, func() {})
}

// Serve is like Run, for a program that has other uses for the process and its signals. It calls ready when the networks
// are guarded and the API answers.
func Serve(ctx context.Context, cfg *config.Config, log *slog.Logger, ready func()) error {
	d, err := newDaemon(cfg, cfg.Datapath, log, time.Now())
	if err != nil {
		return err
	}
	return d.run(ctx, cfg, nil, ready)
}

// run runs the daemon of cfg until ctx ends. It reloads at each signal.
func (d *daemon) run(ctx context.Context, cfg *config.Config, signals <-chan os.Signal, ready func()) error {
	defer d.allocations.close()
	manager := systemd.New(d.log)
	d.reloader.Notify(manager.Reloading, func(inForce *config.Config, err error) {
		d.forgetDetached(inForce)
		d.hosts.reloaded()
		manager.Reloaded(d.fabric.Config(), err)
	})
	d.restoreViolations(d.fabric.Config())

	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return d.fabric.Run(ctx) })
	tasks.Go(func() error {
		select {
		case <-d.fabric.Ready():
		case <-ctx.Done():
			return nil
		}
		// Open the socket before the notification: a unit that starts after this one may use the API at once.
		server := api.NewServer(d)
		if l := d.openAPI(cfg.API); l != nil {
			tasks.Go(func() error { d.serveAPI(ctx, server, l, cfg.API.Writers); return nil })
		}
		if p := d.openPage(cfg.Page); p != nil {
			tasks.Go(func() error { d.servePage(ctx, cfg.Page, p, server.ReadOnly()); return nil })
		}
		tasks.Go(func() error { d.allocations.run(ctx); return nil })
		tasks.Go(func() error { d.hosts.run(ctx); return nil })
		tasks.Go(func() error { d.allocations.sources.run(ctx); return nil })
		tasks.Go(func() error { d.serveMetrics(ctx, cfg.Metrics); return nil })
		tasks.Go(func() error { d.keepViolations(ctx, violationsFile(cfg.API)); return nil })
		tasks.Go(func() error { manager.KeepAlive(ctx, d.fabric.Alive); return nil })
		d.logDatapath()
		manager.Ready(d.fabric.Config())
		ready()
		d.reloader.Run(ctx, signals)
		manager.Stopping()
		return nil
	})
	return tasks.Wait()
}

// newDaemon makes a daemon of a configuration, with the allocations of its store.
func newDaemon(cfg *config.Config, datapath config.Datapath, log *slog.Logger, started time.Time) (*daemon, error) {
	chosen, err := choice.Of(datapath)
	if err != nil {
		return nil, err
	}
	a := newAllocations(log, cfg.Store)
	m, err := a.merge(context.Background(), cfg)
	if err != nil {
		a.close()
		return nil, err
	}
	used := chosen.New()
	f := fabric.New(m.config, log, used)
	a.fabric = f
	a.take(m)
	return &daemon{
		log: log, fabric: f, datapath: used, allocations: a, hosts: newHosts(log, f, cfg.Store),
		reloader: reload.New(log, cfg, started, a.reload), started: started,
	}, nil
}

// Release removes the guard that a stopped fabric has left: see [fabric.Release].
func Release() (removed []string, err error) { return fabric.Release(bpf.Off(nft.New())) }

// gcPercent limits garbage to a fifth of the live memory, most of which is the registry. The collector rarely runs, as
// only loading a registry makes much garbage.
const gcPercent = 20

func (d *daemon) logDatapath() {
	state := d.datapath.State()
	attributes := []any{"in_force", state.InForce}
	if state.Why != "" {
		attributes = append(attributes, "why", state.Why)
	}
	d.log.Info("datapath", attributes...)
}

// openAPI opens the socket of the API, and returns nil if the configuration has none. It only logs an error: guests
// need answers also without the API.
func (d *daemon) openAPI(c config.API) net.Listener {
	if c.Socket == "" {
		return nil
	}
	l, err := api.Listen(c.Socket, c.Group)
	if err != nil {
		d.warnAPIUnavailable(err)
		return nil
	}
	return l
}

// serveAPI serves the API until ctx ends.
func (d *daemon) serveAPI(ctx context.Context, s *api.Server, l net.Listener, writers string) {
	if err := s.Serve(ctx, l, writers, d.log); err != nil {
		d.warnAPIUnavailable(err)
	}
}

func (d *daemon) warnAPIUnavailable(err error) {
	d.log.Warn("API socket unavailable: status, watch, explain and the like will not work", "error", err)
}
