package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/complete"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/arpfabric/arpfabric/internal/tcpdump"
	"github.com/spf13/cobra"
)

func newExplain() *cobra.Command {
	var c client
	var path string
	var q explain.Question
	cmd := &cobra.Command{
		Use:   "explain [--config FILE] [--port PORT] {FRAME | --frame HEX}",
		Short: "Say why a frame is answered, passed or dropped",
		Long: "Decide about a frame as the running fabric does, or, with a configuration, as one would with that, and print\n" +
			"the verdict, each row of the decision table that was tried, the line of the configuration that decided, the\n" +
			"answer as it would leave, and, of a drop, what to change. Nothing is sent.\n\n" +
			"The frame is written as tcpdump prints it. 'from MAC' and 'to MAC' behind it name the MACs of the Ethernet\n" +
			"header; where they are missing, they are those that the registry has for the addresses.\n\n" +
			"It exits with 0 if the frame is answered or passes, with 1 if it is dropped, with 2 if the question is wrong.",
		Example: "  arpfabric explain --config lab.yaml --port vnet2 '" +
			strings.Join(tcpdump.Examples, "'\n  arpfabric explain --config lab.yaml --port vnet2 '") + "'",
		Args: usage(func(_ *cobra.Command, args []string) error {
			if (len(args) == 0) == (q.Hex == "") {
				return errors.New("want one frame, in tcpdump's words or with --frame")
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, words []string) error {
			q.Line = strings.Join(words, " ")
			e, err := c.explanation(cmd.Context(), q, path)
			if err != nil {
				return err
			}
			return c.explained(cmd.OutOrStdout(), e)
		},
	}
	c.addFlags(cmd)
	cmd.Flags().StringVarP(&path, "config", "c", "", "the configuration to decide by, instead of the running fabric's")
	cmd.RegisterFlagCompletionFunc("config", completeYAML)
	cmd.Flags().StringVar(&q.Network, "network", "", "the network, where there are several and the port does not tell")
	cmd.Flags().StringVar(&q.Port, "port", "", "the port that the frame comes in by, on a bridge")
	cmd.Flags().StringVar(&q.Hex, "frame", "", "an Ethernet frame in hexadecimal, instead of words")
	cmd.RegisterFlagCompletionFunc("network", c.suggest(complete.Networks))
	cmd.RegisterFlagCompletionFunc("port", c.suggest(complete.Ports))
	return cmd
}

// explanation is what the configuration in a file makes of a frame, or, where none is named, the running fabric.
func (c *client) explanation(ctx context.Context, q explain.Question, path string) (explain.Explanation, error) {
	if path == "" {
		e, err := c.connect().Explain(ctx, q)
		if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Status == http.StatusBadRequest {
			err = usageError{err}
		}
		return e, err
	}
	cfg, err := config.Load(path)
	if err != nil {
		return explain.Explanation{}, err
	}
	e, err := q.Answer(cfg.Networks)
	if err != nil {
		err = usageError{err}
	}
	return e, err
}

// explained writes an explanation, and ends with exitNo where it is of a drop.
func (c *client) explained(out io.Writer, e explain.Explanation) error {
	text := func(*show.Output, explain.Explanation) error { return e.Print(out) }
	if err := present(c, out, e, text); err != nil {
		return err
	}
	if e.Dropped() {
		return exitCode(exitNo)
	}
	return nil
}
