package main

import (
	"fmt"

	"github.com/arpfabric/arpfabric/config"
	"github.com/spf13/cobra"
)

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Say what is wrong with configurations, or what is in them",
		Long: "Read configurations as 'run' would and print every problem as file:line: path: what is wrong,\n" +
			"and exit with 1; or print a line for each network. Nothing is started.",
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			failed := false
			for _, file := range files {
				cfg, err := config.Load(file)
				if err != nil {
					failed = true
					fmt.Fprintln(cmd.OutOrStdout(), err)
					continue
				}
				for _, n := range cfg.Networks {
					fmt.Fprintln(cmd.OutOrStdout(), n.Summary())
				}
			}
			if failed {
				return exitCode(exitNo)
			}
			return nil
		},
	}
}
