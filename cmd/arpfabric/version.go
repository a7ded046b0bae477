package main

import (
	"encoding/json"
	"fmt"

	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say what this program was built from",
		Long: "Print the program's version, the commit it was built from where that is known, and the Go toolchain and the\n" +
			"platform it was built with and for.\n\n" +
			"It needs no privilege.",
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(build.Read())
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), build.Read())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON object")
	return cmd
}
