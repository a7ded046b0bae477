package main

import (
	"errors"
	"slices"

	"github.com/arpfabric/arpfabric/config"
	"github.com/spf13/cobra"
)

// addDatapath adds the flag --datapath to a command.
func addDatapath(cmd *cobra.Command, to *config.Datapath, usage string) {
	all := []string{string(config.DatapathAuto), string(config.DatapathKernel), string(config.DatapathUser)}
	cmd.Flags().Func("datapath", usage, func(text string) error {
		if !slices.Contains(all, text) {
			return errors.New("want auto, kernel or user")
		}
		*to = config.Datapath(text)
		return nil
	})
	cmd.RegisterFlagCompletionFunc("datapath", completeWords(all))
}
