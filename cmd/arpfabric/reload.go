package main

import (
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/spf13/cobra"
)

func newReload() *cobra.Command {
	var c client
	dryRun := false
	cmd := &cobra.Command{
		Use:   "reload [--dry-run]",
		Short: "Make the running fabric read its configuration again",
		Long: "Make the running fabric read its configuration again, and wait until it is in force. If the configuration has\n" +
			"mistakes, reload prints all of them and exits with 1, and the previous configuration stays in force.\n\n" +
			"Changes of 'api', 'metrics', 'log' and 'store' take effect at the next start: reload says if there are any. The\n" +
			"fabric also reloads by itself soon after one of its files has changed. So --dry-run, which only prints what a\n" +
			"reload would change, mostly finds something after a reload that failed. To see what a configuration would change\n" +
			"before you put it in its place, use 'arpfabric check --against-running FILE'.",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dryRun {
				path, err := c.runningFile(cmd.Context())
				if err != nil {
					return err
				}
				return c.printPlan(cmd, path)
			}
			v, err := c.connect().Reload(cmd.Context())
			if err != nil {
				return err
			}
			return printAnswer(&c, cmd.OutOrStdout(), v, (*show.Output).Reloaded)
		},
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing, and print what a reload would change")
	return cmd
}
