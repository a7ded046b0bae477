// Command arpfabric gives a Linux bridge, a TAP or an interface the ARP behaviour of a cloud VPC.
//
// This package holds flags and one call for each subcommand. What they do is in the packages below
// internal, and in config and responder.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// Exit codes.
const (
	exitNo    = 1 // the answer is no, or it could not be done
	exitUsage = 2 // the command line is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	cmd, err := newRoot().ExecuteContextC(ctx)
	if code, ok := errors.AsType[exitCode](err); ok {
		os.Exit(int(code))
	}
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(os.Stderr, "arpfabric: %v; see '%s --help'\n", err, cmd.CommandPath())
		os.Exit(exitUsage)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "arpfabric:", err)
		os.Exit(exitNo)
	}
}

// exitCode ends the program without a further word.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// usageError is a mistake in the command line.
type usageError struct{ error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "arpfabric",
		Short: "Give a Linux bridge, a TAP or an interface the ARP behaviour of a cloud VPC",
		Long: "Give a Linux bridge, a TAP or an interface the ARP behaviour of a cloud VPC: answer every guest's ARP from a\n" +
			"registry of who has which address, and drop what it does not know.\n\n" +
			"Every command exits with 0 when it is done, with 1 if the answer is no or it could not be done, and with 2\n" +
			"if the command line is wrong.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.AddCommand(newRun(), newCheck(), newExplain(), newImport(), newRelease(), newDemo(), newAsk(), newVersion(),
		newSchema(), newMan(),
		newStatus(), newPorts(), newViolations(), newLookup(), newWatch(), newReload(), newReplay())
	return root
}

// usage makes what check finds wrong with the arguments a usageError.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}
