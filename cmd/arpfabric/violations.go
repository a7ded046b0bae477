package main

import (
	"fmt"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/spf13/cobra"
)

// violationFlags are the flags that select violations.
type violationFlags struct {
	filterFlags
	since time.Duration
}

func newViolations() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "violations",
		Short: "Show the guests that used a MAC or an address that is not their own",
		Long: "Show the guests that used a MAC or an address that is not their own: the port, the owner of the address, and the\n" +
			"number of frames. TARGET is the address that they are for. ACTION is pass if the network's mode is\n" +
			"classic.\n\n" +
			"Violations outlive a restart of the fabric: it keeps them in a file beside its socket, and a kill loses the last\n" +
			"ten seconds. Those of a network that is removed from the configuration are removed.",
		Example: "  arpfabric violations --port vnet2 --since 1h\n" +
			"  arpfabric violations clear --network lab",
		Args: takes(),
	}
	flags := c.addViolationFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f, err := c.violationFilter(cmd, flags)
		if err != nil {
			return err
		}
		v, err := c.connect().Violations(cmd.Context(), f)
		if err == nil && len(v) == 0 { // a port that has gone may have records
			err = checkPorts(cmd.Context(), c.connect(), f.Filter)
		}
		if err != nil {
			return err
		}
		return printAnswer(&c, cmd.OutOrStdout(), v, func(o *show.Output, v []api.Violation) error {
			return o.Violations(v, time.Now())
		})
	}
	cmd.AddCommand(newClearViolations())
	return cmd
}

func newClearViolations() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "clear",
		Short: "Remove the records of violations",
		Long: "Remove the records of all violations, or of those that match the flags. A violation that continues becomes a new\n" +
			"record, and is logged again.",
		Args: takes(),
	}
	flags := c.addViolationFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f, err := c.violationFilter(cmd, flags)
		if err != nil {
			return err
		}
		cleared, err := c.connect().ClearViolations(cmd.Context(), f)
		if err != nil {
			return err
		}
		return printAnswer(&c, cmd.OutOrStdout(), cleared, func(o *show.Output, cleared api.Cleared) error {
			return o.Line(fmt.Sprintf("removed records of violations: %d", cleared.Records))
		})
	}
	return cmd
}

func (c *client) addViolationFlags(cmd *cobra.Command) *violationFlags {
	c.addFlags(cmd)
	flags := &violationFlags{filterFlags: c.addFilterFlags(cmd, "violations")}
	cmd.Flags().DurationVar(&flags.since, "since", 0, "show only violations that were seen in this time, such as 90m")
	return flags
}

// violationFilter makes a filter of the flags. A port may be gone, so it may have any name.
func (c *client) violationFilter(cmd *cobra.Command, flags *violationFlags) (f api.ViolationFilter, err error) {
	if f.Filter, err = flags.parse(); err != nil {
		return f, err
	}
	if flags.since < 0 {
		return f, usageError{fmt.Errorf("--since takes a duration that is not negative, such as 90m, not %s", flags.since)}
	}
	if flags.since > 0 {
		f.Since = time.Now().Add(-flags.since)
	}
	_, err = checkNetworks(cmd.Context(), c.connect(), f.Filter)
	return f, err
}
