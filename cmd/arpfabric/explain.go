package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
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
		Short: "Explain why a frame is answered, passed or dropped",
		Long: "Decide about a frame as the running fabric does or, with --config, as a fabric with that configuration would.\n" +
			"Print the verdict, each row of the decision table that was tried, the line of the configuration that decided,\n" +
			"the bytes of the answer, and, for a dropped frame, what to change. explain sends nothing.\n\n" +
			"Write the frame as tcpdump -n prints it, also with -e or -v. Append 'from MAC' and 'to MAC' for the MACs of the\n" +
			"Ethernet header; a missing one is taken from the registry, by the addresses in the frame.\n\n" +
			"It exits with 0 if the frame is answered or passes, with 1 if it is dropped, and with 2 if the question has a\n" +
			"mistake.",
		Example: "  arpfabric explain --config lab.yaml --port vnet2 '" +
			strings.Join(tcpdump.Examples, "'\n  arpfabric explain --config lab.yaml --port vnet2 '") + "'",
		Args: usage(func(_ *cobra.Command, args []string) error {
			if (len(args) == 0) == (q.Hex == "") {
				return errors.New("give one frame, as tcpdump prints it or with --frame")
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, words []string) error {
			q.Line = strings.Join(words, " ")
			e, err := c.explain(cmd.Context(), q, path)
			if err != nil {
				return err
			}
			return c.printExplanation(cmd.OutOrStdout(), e)
		},
	}
	c.addFlags(cmd)
	cmd.Flags().StringVarP(&path, "config", "c", "", "decide by the configuration `FILE`, not by the running fabric")
	cmd.RegisterFlagCompletionFunc("config", completeYAML)
	cmd.Flags().StringVar(&q.Network, "network", "", "`NAME` of the network, if the port belongs to several")
	cmd.Flags().StringVar(&q.Port, "port", "", "`NAME` of the ingress port, on a bridge")
	cmd.Flags().StringVar(&q.Hex, "frame", "", "the whole Ethernet frame in `HEX`, instead of words")
	cmd.RegisterFlagCompletionFunc("network", c.suggest(suggestNetworks))
	cmd.RegisterFlagCompletionFunc("port", c.suggest(suggestPorts))
	return cmd
}

// explain asks the running fabric or, if path is not empty, decides by the configuration in that file.
func (c *client) explain(ctx context.Context, q explain.Question, path string) (explain.Explanation, error) {
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

// printExplanation writes an explanation. The exit code is exitNo if the frame is dropped.
func (c *client) printExplanation(out io.Writer, e explain.Explanation) error {
	text := func(*show.Output, explain.Explanation) error { return e.Print(out) }
	if err := printAnswer(c, out, e, text); err != nil {
		return err
	}
	if e.Dropped() {
		return exitCode(exitNo)
	}
	return nil
}
