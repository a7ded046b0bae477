package main

import (
	"context"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/spf13/cobra"
)

// What a shell offers where a file is wanted. Elsewhere it offers none (newRoot).

func completeFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func completeYAML(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

func completeFolders(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// shellPatience is how long somebody who has typed a tab waits for the running fabric.
const shellPatience = time.Second

// suggest makes a completion of what the running fabric is asked for. There is none if it does not answer.
func (c *client) suggest(ask func(ctx context.Context, fabric *api.Client, typed string) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), shellPatience)
		defer cancel()
		words, err := ask(ctx, c.connect(), typed)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeOnce makes a completion of a command's only argument.
func completeOnce(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, typed)
	}
}

// completeWords makes a completion of words that are always the same.
func completeWords(all []string) cobra.CompletionFunc {
	return cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp)
}
