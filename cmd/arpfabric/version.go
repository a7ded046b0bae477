package main

import (
	"fmt"

	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long: "Print the version of the program, its commit if that is known, the version of Go that built it, and its\n" +
			"platform.\n\n" +
			"It needs no privilege.",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), build.Read())
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), build.Read())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON, which docs/openapi.json describes")
	return cmd
}
