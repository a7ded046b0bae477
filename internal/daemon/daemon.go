package daemon

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/capability"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/reload"
	"github.com/arpfabric/arpfabric/internal/service"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// A daemon is a fabric with what is around it.
type daemon struct {
	log      *slog.Logger
	fabric   *fabric.Fabric
	reloader *reload.Reloader
	started  time.Time
}

// Run runs the fabric of a configuration file in this network namespace until ctx ends. The log goes to standard
// error.
func Run(ctx context.Context, path string) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP) // first, so that one that comes while it starts is a reload after that
	if err := capability.Raise(); err != nil {
		return err
	}
	debug.SetGCPercent(gcPercent)
	started := time.Now()
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	log, end := openLog(cfg.Log, os.Stderr)
	defer end()
	f := fabric.New(cfg, log)
	d := &daemon{log: log, fabric: f, reloader: reload.New(log, cfg, started, f.Reload), started: started}
	signal.Ignore(unix.SIGPIPE) // who reads the log may end

	systemd := service.New(log)
	d.reloader.Tell(systemd.Reloading, systemd.Reloaded)

	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return f.Run(ctx) })
	tasks.Go(func() error {
		select {
		case <-f.Ready():
		case <-ctx.Done():
			return nil
		}
		if l := d.openAPI(cfg.API); l != nil { // who is told that it is ready may ask at once
			tasks.Go(func() error { d.serveAPI(ctx, l); return nil })
		}
		tasks.Go(func() error { d.serveMetrics(ctx, cfg.Metrics); return nil })
		tasks.Go(func() error { systemd.KeepAlive(ctx, f.Alive); return nil })
		systemd.Ready(cfg)
		d.reloader.Run(ctx, hangups)
		systemd.Stopping()
		return nil
	})
	return tasks.Wait()
}

// gcPercent keeps garbage small beside a large registry. There is next to none but when one is loaded.
const gcPercent = 20

// openAPI opens the socket for operators, if there is to be one. That it can't is no reason to leave guests without
// answers.
func (d *daemon) openAPI(c config.API) net.Listener {
	if c.Socket == "" {
		return nil
	}
	l, err := api.Listen(c.Socket, c.Group)
	if err != nil {
		d.warnOfNoAPI(err)
		return nil
	}
	return l
}

// serveAPI answers operators until ctx ends.
func (d *daemon) serveAPI(ctx context.Context, l net.Listener) {
	if err := api.Serve(ctx, l, d, d.log); err != nil {
		d.warnOfNoAPI(err)
	}
}

func (d *daemon) warnOfNoAPI(err error) {
	d.log.Warn("there is no API, and so no 'arpfabric status' and the like", "error", err)
}
