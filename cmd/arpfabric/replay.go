package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/replay"
	"github.com/spf13/cobra"
)

// stdin stands for standard input as the name of a file.
const stdin = "-"

// replayFlags are the flags of 'replay'.
type replayFlags struct {
	config, network      string
	verbose, json, learn bool
}

func newReplay() *cobra.Command {
	var flags replayFlags
	cmd := &cobra.Command{
		Use:   "replay {--config FILE | --learn} CAPTURE",
		Short: "Show the verdicts that the fabric would make on a capture, or learn a registry from it",
		Long: "Decide about each ARP frame of a capture in the pcap or pcapng format ('-' is standard input) as 'run' does.\n" +
			"Print the number of frames for each verdict, and compare the fabric's answers with those in the capture.\n" +
			"With --learn, print a configuration with the bindings that the capture shows instead.\n\n" +
			"It needs no privilege. It exits with 1 if an answer differs, or if the fabric gives none.",
		Example: "  arpfabric replay --config lab.yaml classic.pcap\n" +
			"  tcpdump -i br0 -w - arp | arpfabric replay --config lab.yaml -\n" +
			"  arpfabric replay --learn classic.pcap >learned.yaml",
		Args: usage(cobra.MatchAll(takes("CAPTURE"), func(*cobra.Command, []string) error { return flags.check() })),

		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.run(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&flags.config, "config", "c", "", "the configuration `FILE` with the network")
	cmd.RegisterFlagCompletionFunc("config", completeYAML)
	cmd.Flags().StringVar(&flags.network, "network", "", "the `NAME` of the network, if the configuration has several")
	cmd.Flags().BoolVar(&flags.verbose, "verbose", false, "print a line for each ARP frame")
	cmd.Flags().BoolVar(&flags.json, "json", false, "print the summary as JSON")
	cmd.Flags().BoolVar(&flags.learn, "learn", false, "print a configuration with the bindings that the capture shows")
	return cmd
}

func (f *replayFlags) check() error {
	switch {
	case f.learn == (f.config != ""):
		return errors.New("give exactly one of --config and --learn")
	case f.learn && (f.network != "" || f.verbose || f.json):
		return errors.New("--network, --verbose and --json cannot be used with --learn")
	case f.json && f.verbose:
		return errors.New("give only one of --verbose and --json")
	}
	return nil
}

// run replays a capture, or learns from it. At the first Ctrl-C it stops reading a file, and prints the summary of the
// frames until then. Standard input it reads to the end: Ctrl-C also stops the program that writes there, which may
// still flush its buffer. A second Ctrl-C ends arpfabric.
func (f *replayFlags) run(ctx context.Context, path string, out io.Writer) error {
	defer context.AfterFunc(ctx, func() { signal.Reset() })()
	if path == stdin {
		ctx = context.WithoutCancel(ctx)
	}
	in, err := openCapture(path)
	if err != nil {
		return err
	}
	defer in.Close()
	buffered := bufio.NewWriter(out)
	if f.learn {
		err = learn(ctx, in, buffered)
	} else {
		err = f.compare(ctx, in, buffered)
	}
	if failed := buffered.Flush(); failed != nil {
		return failed // rather than err, which may be an exit code without a message
	}
	return err
}

func learn(ctx context.Context, in *os.File, out io.Writer) error {
	learned, err := replay.Learn(ctx, in)
	if err != nil {
		return fmt.Errorf("%s: %w", in.Name(), err)
	}
	return learned.Write(out)
}

func (f *replayFlags) compare(ctx context.Context, in *os.File, out io.Writer) error {
	network, err := f.selectNetwork()
	if err != nil {
		return err
	}
	var lines io.Writer
	if f.verbose {
		lines = out
	}
	summary, err := replay.Run(ctx, in, network, lines)
	if err != nil {
		return fmt.Errorf("%s: %w", in.Name(), err)
	}
	if f.verbose {
		fmt.Fprintln(out)
	}
	return f.print(summary, out)
}

// openCapture opens a file, or standard input.
func openCapture(path string) (*os.File, error) {
	if path == stdin {
		return os.Stdin, nil
	}
	return os.Open(path)
}

// selectNetwork loads the configuration and returns the network that decides about the frames.
func (f *replayFlags) selectNetwork() (*config.Network, error) {
	cfg, err := config.Load(f.config)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range cfg.Networks {
		n := &cfg.Networks[i]
		if n.Name == f.network || f.network == "" && len(cfg.Networks) == 1 {
			return n, nil
		}
		names = append(names, n.Name)
	}
	have := fmt.Sprintf("%s has the networks %s", f.config, strings.Join(names, ", "))
	if f.network == "" {
		return nil, usageError{fmt.Errorf("%s; choose one with --network", have)}
	}
	return nil, usageError{fmt.Errorf("%s, but not %q", have, f.network)}
}

func (f *replayFlags) print(summary *replay.Summary, out io.Writer) error {
	write := summary.WriteText
	if f.json {
		write = summary.WriteJSON
	}
	if err := write(out); err != nil {
		return err
	}
	if !summary.Same() {
		return exitCode(exitNo)
	}
	return nil
}
