package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab"
	"golang.org/x/sync/errgroup"
)

// configPath is in the lab's own /run.
const configPath = "/run/arpfabric.yaml"

// A stage is the bridge with its guests.
type stage []*lab.Guest

func build() (stage, error) {
	if err := lab.AddBridge(bridge); err != nil {
		return nil, err
	}
	var s stage
	for _, config := range guests {
		g, err := lab.AddGuest(config)
		if err != nil {
			return nil, errors.Join(err, s.remove())
		}
		s = append(s, g)
	}
	return s, nil
}

func (s stage) remove() error {
	err := lab.DeleteLink(bridge)
	for _, g := range s {
		err = errors.Join(err, g.Delete())
	}
	return err
}

// An act is what happens on the stage while the fabric runs. Its context ends early if the fabric fails.
type act func(context.Context, *fabric.Fabric) error

// withFabric runs the fabric on the bridge during an act.
func withFabric(ctx context.Context, mode config.Mode, log *slog.Logger, play act) error {
	cfg, err := configure(mode)
	if err != nil {
		return err
	}
	running := fabric.New(cfg, log)
	tasks, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	tasks.Go(func() error { return running.Run(ctx) })
	tasks.Go(func() error {
		defer stop()
		select {
		case <-running.Ready():
			return play(ctx, running)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return tasks.Wait()
}

// configure takes the way of a user's configuration: through a file.
func configure(mode config.Mode) (*config.Config, error) {
	if err := os.WriteFile(configPath, fmt.Appendf(nil, configuration, mode), 0o644); err != nil {
		return nil, err
	}
	return config.Load(configPath)
}
