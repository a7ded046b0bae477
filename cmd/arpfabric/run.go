package main

import (
	"github.com/arpfabric/arpfabric/internal/daemon"
	"github.com/spf13/cobra"
)

func newRun() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the fabric until it is told to stop",
		Long: "Run the fabric in the foreground, in this network namespace, until SIGINT or SIGTERM.\n" +
			"The log goes to standard error. The configuration is read again when one of its files changes, on SIGHUP,\n" +
			"and on 'arpfabric reload'.\n\n" +
			"It needs CAP_NET_ADMIN and CAP_NET_RAW. It exits with 1, and has changed nothing, if something is wrong\n" +
			"with the configuration, or something it needs is missing.",
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return daemon.Run(cmd.Context(), path) },
	}
	cmd.Flags().StringVarP(&path, "config", "c", "/etc/arpfabric/arpfabric.yaml", "the configuration, a `FILE`")
	cmd.RegisterFlagCompletionFunc("config", completeYAML)
	return cmd
}
