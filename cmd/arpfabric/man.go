package main

import (
	"fmt"
	"os"

	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newMan is for who makes packages.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages of all commands into a folder",
		Long: "Write the manual pages of all commands into a folder, made of what --help says. The folder is made where there\n" +
			"is none. The pages' date is that of SOURCE_DATE_EPOCH, where it is set.",
		Hidden: true,
		Args:   usage(cobra.ExactArgs(1)),

		ValidArgsFunction: completeFolders,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("making the folder for the manual pages: %w", err)
			}
			cmd.Root().DisableAutoGenTag = true
			header := doc.GenManHeader{Section: "8", Source: "arpfabric " + build.Read().Version, Manual: "arpfabric"}
			return doc.GenManTree(cmd.Root(), &header, args[0])
		},
	}
}
