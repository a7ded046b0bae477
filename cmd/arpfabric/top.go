package main

import (
	"errors"
	"time"

	"github.com/arpfabric/arpfabric/internal/top"
	"github.com/spf13/cobra"
)

func newTop() *cobra.Command {
	c := client{}
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show the ports as a live table in the terminal",
		Long: "Show the ports of the running fabric as a live table: their guests, when they were last seen, the verdicts and the\n" +
			"refused frames a second, the records of violations, and the reasons. The first lines say what needs repair.\n\n" +
			"Keys: up and down select a row; enter explains its last frame that was dropped; s sorts by another column, which\n" +
			"has a star; / types a filter, which any text of a row matches; esc goes back; q ends.",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			const fastest = 100 * time.Millisecond
			if every < fastest {
				return usageError{errors.New("--every takes a duration of at least 100ms, such as 2s")}
			}
			fabric := c.connect()
			if _, err := fabric.Status(cmd.Context()); err != nil {
				return err
			}
			return top.Run(cmd.Context(), fabric, every)
		},
	}
	c.addSocketFlag(cmd)
	cmd.Flags().DurationVar(&every, "every", time.Second, "the time between two updates")
	return cmd
}
