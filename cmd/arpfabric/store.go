package main

import (
	"fmt"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/transfer"
	"github.com/spf13/cobra"
)

func newStore() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Move allocations between a folder and etcd",
		Long: "Move allocations from one store to another: a store is the folder, or the etcd, that a configuration names. Stop\n" +
			"arpfabric first if the store is a folder.\n\n" +
			"  arpfabric store export --config old.yaml | arpfabric store import --config new.yaml",
		Args: takesCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newStoreExport(), newStoreImport())
	return cmd
}

func newStoreExport() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "export [--config FILE]",
		Short: "Print all allocations of a store",
		Long: "Print all allocations and held addresses of the configuration's store, in the format of the file of all\n" +
			"allocations in a folder.",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.LoadOnce(path)
			if err != nil {
				return err
			}
			return transfer.Export(cmd.Context(), cfg.Store, cmd.OutOrStdout())
		},
	}
	addConfigFlag(cmd, &path)
	return cmd
}

func newStoreImport() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "import [--config FILE]",
		Short: "Add allocations to a store",
		Long: "Read what 'arpfabric store export' has printed from standard input, and add it to the configuration's store.\n" +
			"Allocations that are there already stay as they are. If one contradicts another, import adds nothing, and\n" +
			"reports all contradictions.",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.LoadOnce(path)
			if err != nil {
				return err
			}
			n, err := transfer.Import(cmd.Context(), cfg.Store, cmd.InOrStdin())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "imported allocations and held addresses: %d\n", n)
			return nil
		},
	}
	addConfigFlag(cmd, &path)
	return cmd
}
