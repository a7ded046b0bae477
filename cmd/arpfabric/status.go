package main

import (
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/spf13/cobra"
)

func newStatus() *cobra.Command {
	var c client
	check := false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of the running fabric",
		Long: "Show the networks of the running fabric, the time and the files that it loaded them from, the verdicts on guests'\n" +
			"frames, and problems. It exits with 1 if no fabric answers.\n\n" +
			"With --check, for monitoring, print only what needs repair, or 'ok', and exit with 1 unless all is well: if a\n" +
			"network waits for its bridge or interface, if something on the machine differs from the configuration, if\n" +
			"the store fails or an allocation is not in force, or if the last reload failed. Violations by guests do not\n" +
			"count.",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.connect().Status(cmd.Context())
			if err != nil {
				return err
			}
			table := func(o *show.Output, s api.Status) error { return o.Status(s, time.Now()) }
			if check {
				table = (*show.Output).Health
			}
			if err := printAnswer(&c, cmd.OutOrStdout(), s, table); err != nil {
				return err
			}
			if check && len(s.Problems) > 0 {
				return exitCode(exitNo)
			}
			return nil
		},
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "print only what needs repair, and exit with 1 if anything does")
	return cmd
}

func newPorts() *cobra.Command {
	return newQuery("ports", "Show the ports, the guests behind them, and the verdicts on their frames",
		"Show the current ports: the registered MACs behind each, with their addresses and names, or their number if there\n"+
			"are more than two; when the port's last frame entered, of any kind; and for each reason the number of verdicts on\n"+
			"its frames. REFUSED counts the frames that were not on the guard's allow-list.",
		(*api.Client).Ports, func(o *show.Output, p []api.Port) error { return o.Ports(p, time.Now()) })
}
