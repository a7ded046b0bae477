// Command arpfabric gives a Linux bridge, a TAP or an interface the ARP behaviour of a cloud VPC.
//
// This package has the flags of each subcommand and calls the package that does the work: one below internal, or
// config.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"

	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/arpfabric/arpfabric/internal/capability"
	"github.com/arpfabric/arpfabric/internal/daemon/systemd"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// Exit codes.
const (
	exitNo    = 1 // the answer is no, or the command failed
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
		printError(fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath()))
		os.Exit(exitUsage)
	}
	if err != nil {
		printError(err)
		os.Exit(exitNo)
	}
}

func printError(err error) {
	text := fmt.Appendf(nil, "arpfabric: %v\n", err)
	if systemd.StderrIsJournal() {
		text = systemd.WithPriority(slog.LevelError, text)
	}
	os.Stderr.Write(text)
}

// exitCode is an error that ends the program with this exit code and without a message.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// usageError is a mistake in the command line.
type usageError struct{ error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "arpfabric",
		Short: "Give a Linux bridge, a TAP or an interface the ARP behaviour of a cloud VPC",
		Long: "Give a Linux bridge, a TAP or an interface the ARP behaviour of a cloud VPC: answer every guest's ARP from a\n" +
			"registry of addresses and MACs, and drop the ARP that the registry does not allow.\n\n" +
			"Every command exits with 0 if it succeeds, with 1 if the answer is no or the command fails, and with 2 if\n" +
			"the command line is wrong.\n\n" + environment,
		Version:       build.Read().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          takesCommand,

		SuggestionsMinimumDistance: suggestionDistance,

		PersistentPreRunE: func(*cobra.Command, []string) error { return capability.Raise() },

		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{flagError(err)} })
	root.SetVersionTemplate("{{.Version}}\n") // as 'arpfabric version' prints it
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.AddCommand(newRun(), newCheck(), newExplain(), newInit(), newImport(), newRelease(), newDemo(), newAsk(), newVersion(),
		newSchema(), newMan(),
		newStatus(), newPorts(), newTop(), newViolations(), newLookup(), newWatch(), newReload(), newReplay(),
		newAllocate(), newFree(), newBindings(), newHistory(), newStore())
	addDefaultCommands(root)
	return root
}

// flagError says which value a flag takes, in place of Go's words for what it could not parse.
func flagError(err error) error {
	invalid, ok := errors.AsType[interface {
		error
		GetValue() string
		Unwrap() error
	}](err)
	if !ok || invalid.Unwrap() == nil {
		return err
	}
	cause := invalid.Unwrap().Error()
	start := strings.TrimSuffix(invalid.Error(), cause)
	switch {
	case strings.HasPrefix(cause, "time: "):
		return errors.New(start + "want a duration, such as 90s, 30m or 24h")
	case strings.HasPrefix(cause, "strconv.ParseBool"):
		return errors.New(start + "want true or false")
	case strings.HasPrefix(cause, "strconv."):
		return errors.New(start + "want a whole number")
	}
	return err
}

// usage turns an error of check into a usageError.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}
