package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// The checks of a command's arguments. Their errors name the argument that is wrong, and cobra's do not.

// takes accepts one argument for each name.
func takes(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch given := len(args); {
		case given < len(names):
			return usageError{fmt.Errorf("missing argument %s", names[given])}
		case given > len(names):
			return usageError{fmt.Errorf("unexpected argument %q", args[len(names)])}
		}
		return nil
	}
}

// takesSeveral accepts one argument or more, all of the same name.
func takesSeveral(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError{fmt.Errorf("missing argument %s", name)}
		}
		return nil
	}
}

// takesCommand is for a command that does nothing without one of its subcommands: it rejects all other words.
func takesCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = "; did you mean " + strings.Join(similar, " or ") + "?"
	}
	return usageError{fmt.Errorf("unknown command %q%s", args[0], hint)}
}

// suggestionDistance is the number of wrong letters up to which cobra suggests a command.
const suggestionDistance = 2

// addDefaultCommands adds cobra's commands, help and completion, and gives them the errors of the other commands.
func addDefaultCommands(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = takesTopic
		case "completion":
			setCompletionErrors(cmd)
		}
	}
}

// takesTopic accepts the name of a command as the words of its path, and no words for arpfabric itself.
func takesTopic(cmd *cobra.Command, args []string) error {
	topic, rest, err := cmd.Root().Find(args)
	if err != nil {
		return usageError{err}
	}
	return takesCommand(topic, rest)
}

func setCompletionErrors(completion *cobra.Command) {
	completion.Args = takesCommand
	completion.SuggestionsMinimumDistance = suggestionDistance
	completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() } // cobra checks Args only if it may run
	completion.Long = strings.TrimSpace(completion.Long)
	for _, shell := range completion.Commands() {
		shell.Args = takes()
		shell.Long = strings.TrimSpace(shell.Long)
	}
}
