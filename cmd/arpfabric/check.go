package main

import (
	"bufio"
	"fmt"

	"github.com/arpfabric/arpfabric/config"
	"github.com/spf13/cobra"
)

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Say what is wrong with configurations, or what is in them",
		Long: "Read configurations as 'run' would, and print every problem as file:line: path: what is wrong, or a line\n" +
			"for each network. Nothing is started.\n\n" +
			"It needs no privilege. It exits with 1 if there is a problem.",
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completeYAML,
		RunE: func(cmd *cobra.Command, files []string) error {
			failed, out := false, bufio.NewWriter(cmd.OutOrStdout())
			for _, file := range files {
				cfg, err := config.Load(file)
				if err != nil {
					failed = true
					fmt.Fprintln(out, err)
					continue
				}
				for _, n := range cfg.Networks {
					fmt.Fprintln(out, n.Summary())
				}
			}
			if err := out.Flush(); err != nil {
				return err
			}
			if failed {
				return exitCode(exitNo)
			}
			return nil
		},
	}
}
