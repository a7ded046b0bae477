package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/reload"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

func newRun() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run the fabric until it is told to stop",
		Long: "Run the fabric in the foreground, in this network namespace, until SIGINT or SIGTERM.\n" +
			"It needs CAP_NET_ADMIN and CAP_NET_RAW. The log goes to standard error.\n\n" +
			"The configuration is read again when one of its files changes, and on SIGHUP.",
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), path) },
	}
	cmd.Flags().StringVarP(&path, "config", "c", "/etc/arpfabric/arpfabric.yaml", "the configuration")
	return cmd
}

func run(ctx context.Context, path string) error {
	debug.SetGCPercent(gcPercent)
	loaded := time.Now()
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	log := newLogger(cfg.Log)
	f := fabric.New(cfg, log)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)

	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return f.Run(ctx) })
	tasks.Go(func() error {
		select {
		case <-f.Ready():
		case <-ctx.Done():
			return nil
		}
		r := reload.Reloader{Log: log, Apply: f.Reload}
		r.Run(ctx, cfg, loaded, hangups)
		return nil
	})
	return tasks.Wait()
}

// gcPercent keeps garbage small beside a large registry. There is next to none but when one is loaded.
const gcPercent = 20

func newLogger(c config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level}
	if c.Format == config.JSON {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
