package main

import (
	"log/slog"
	"os"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/spf13/cobra"
)

func newRun() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run the fabric until it is told to stop",
		Long: "Run the fabric in the foreground, in this network namespace, until SIGINT or SIGTERM.\n" +
			"It needs CAP_NET_ADMIN and CAP_NET_RAW. The log goes to standard error.",
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			return fabric.New(cfg, newLogger(cfg.Log)).Run(cmd.Context())
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "/etc/arpfabric/arpfabric.yaml", "the configuration")
	return cmd
}

func newLogger(c config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level}
	if c.Format == config.JSON {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
