package main

import (
	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/daemon"
	"github.com/spf13/cobra"
)

func newRun() *cobra.Command {
	var path string
	var datapath config.Datapath
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the fabric in the foreground",
		Long: "Run the fabric in the foreground, in this network namespace, until SIGINT or SIGTERM. The log goes to\n" +
			"standard error. The fabric reads its configuration again when one of its files changes, on SIGHUP, and on\n" +
			"'arpfabric reload'. From '-' (standard input) or a pipe, it reads the configuration only once.\n\n" +
			"It needs CAP_NET_ADMIN and CAP_NET_RAW, and for the datapath kernel CAP_BPF and CAP_PERFMON, too. If the\n" +
			"configuration has a mistake, or something that it needs is missing, run changes nothing and exits with 1.",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error { return daemon.Run(cmd.Context(), path, datapath) },
	}
	addConfigFlag(cmd, &path)
	addDatapath(cmd, &datapath, "answer guests by `DATAPATH`: auto, kernel or user (default: as configured)")
	return cmd
}

// addConfigFlag adds the flag for the configuration.
func addConfigFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", defaultConfig(), "the configuration `FILE`")
	cmd.RegisterFlagCompletionFunc("config", completeYAML)
}
