package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/daemon"
	"github.com/arpfabric/arpfabric/internal/datapath/choice"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab"
	"golang.org/x/sync/errgroup"
)

// configPath is in the lab's own /run.
const configPath = "/run/arpfabric.yaml"

// A testbed is a bridge with its guests.
type testbed []*lab.Guest

func newTestbed() (testbed, error) {
	if err := lab.AddBridge(bridge); err != nil {
		return nil, err
	}
	var t testbed
	for _, config := range guests {
		g, err := lab.AddGuest(config)
		if err != nil {
			return nil, errors.Join(err, t.remove())
		}
		t = append(t, g)
	}
	return t, nil
}

func (t testbed) remove() error {
	err := lab.DeleteLink(bridge)
	for _, g := range t {
		err = errors.Join(err, g.Delete())
	}
	return err
}

// withFabric runs the fabric on the bridge, in a mode, until do returns. The context of do ends if the fabric fails.
func withFabric(
	ctx context.Context, mode config.Mode, datapath config.Datapath, log *slog.Logger, do func(context.Context, *fabric.Fabric) error,
) error {
	cfg, err := configure(fmt.Sprintf(configuration, mode))
	if err != nil {
		return err
	}
	chosen, err := choice.Of(datapath)
	if err != nil {
		return err
	}
	running := fabric.New(cfg, log, chosen.New())
	return beside(ctx, running.Run, running.Ready(), func(ctx context.Context) error { return do(ctx, running) })
}

// withDaemon does the same with the whole daemon, in mode vpc.
func withDaemon(ctx context.Context, datapath config.Datapath, log *slog.Logger, do func(context.Context) error) error {
	cfg, err := configure(fmt.Sprintf("datapath: %s\n"+labStore+configuration, datapath, config.VPC))
	if err != nil {
		return err
	}
	ready := make(chan struct{})
	serve := func(ctx context.Context) error {
		return daemon.Serve(ctx, cfg, log, func() { close(ready) })
	}
	return beside(ctx, serve, ready, do)
}

// beside runs serve until do returns, which it calls when ready is closed.
func beside(ctx context.Context, serve func(context.Context) error, ready <-chan struct{}, do func(context.Context) error) error {
	tasks, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	tasks.Go(func() error { return serve(ctx) })
	tasks.Go(func() error {
		defer stop()
		select {
		case <-ready:
			return do(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return tasks.Wait()
}

// labStore keeps the daemon's allocations in the lab's own /run, and not in the machine's store.
const labStore = "store: {folder: /run/store}\n"

// configure loads the configuration from a file, as for a user, so that the demo tests this too.
func configure(text string) (*config.Config, error) {
	if err := os.WriteFile(configPath, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return config.Load(configPath)
}
