package main

import (
	"github.com/arpfabric/arpfabric/config"
	"github.com/spf13/cobra"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of the configuration, for editors",
		Long: "Print the JSON schema (draft 7) of the configuration. An editor with a YAML language server completes and\n" +
			"explains the keys of a file that has this line:\n\n" +
			"    # yaml-language-server: $schema=arpfabric.schema.json\n\n" +
			"'arpfabric check' finds more mistakes than an editor can.",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Schema())
			return err
		},
	}
}
