package main

import (
	"github.com/arpfabric/arpfabric/internal/manual"
	"github.com/spf13/cobra"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages into a folder",
		Long: "Write the manual pages of all commands, from the text of --help, and of the configuration file into the folders\n" +
			"man8 and man5 of DIR. man creates the folders if they are missing. If SOURCE_DATE_EPOCH is set, it is the date\n" +
			"of the pages.",
		Args: takes("DIR"),

		ValidArgsFunction: completeFolders,
		RunE:              func(cmd *cobra.Command, args []string) error { return manual.Write(cmd.Root(), args[0]) },
	}
}
