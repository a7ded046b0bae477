package main

import (
	"context"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/spf13/cobra"
)

// The completions of a file or a folder. By default the shell completes no file names (see newRoot).

func completeFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func completeYAML(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

func completeFolders(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// completionTimeout limits how long the shell waits for the running fabric after a tab.
const completionTimeout = time.Second

// suggest makes a completion of the words that query gets from the running fabric. If the fabric does not answer, the
// shell completes nothing and shows no error.
func (c *client) suggest(query func(ctx context.Context, fabric *api.Client, typed string) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		words, err := query(ctx, c.connect(), typed)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeOnce makes a completion of the only argument of a command.
func completeOnce(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, typed)
	}
}

// completeWords makes a completion of fixed words.
func completeWords(all []string) cobra.CompletionFunc {
	return cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp)
}
