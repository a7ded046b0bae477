package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/complete"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/spf13/cobra"
)

func newWatch() *cobra.Command {
	var c client
	wanted := map[string][]string{}
	var r recorder
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show verdicts as they are made",
		Long: "Show what the running fabric makes of each frame that it sees, in tcpdump's words, with the action and the reason\n" +
			"at the end of the line. Of what is not ARP it sees samples of what the guard refuses.\n\n" +
			"All who watch get 2500 events a second together. Those beyond that, or read too slowly, are lost, and counted;\n" +
			"filters leave fewer. Guests never wait.",
		Args: usage(cobra.MatchAll(cobra.NoArgs, func(*cobra.Command, []string) error {
			if c.json && r.path != "" {
				return errors.New("want one of --write and --json")
			}
			return nil
		})),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, key := range event.FilterKeys {
				wanted[key], _ = cmd.Flags().GetStringSlice(key)
			}
			filter, err := event.ParseFilter(wanted)
			if err != nil {
				return usageError{err}
			}
			if r.path == "" {
				return c.connect().Watch(cmd.Context(), filter, func() (func(api.Event) error, error) {
					return c.shower(cmd.OutOrStdout()), nil
				})
			}
			r.out, r.losses = cmd.OutOrStdout(), show.To(cmd.ErrOrStderr())
			err = c.connect().Watch(cmd.Context(), filter, r.begin)
			return errors.Join(err, r.end())
		},
	}
	c.addFlags(cmd)
	completions := map[string]cobra.CompletionFunc{
		"network": c.suggest(complete.Networks), "port": c.suggest(complete.Ports),
		"address": c.suggest(complete.Addresses),
		"reason":  completeWords(complete.Reasons()), "action": completeWords(complete.Actions()),
	}
	for _, key := range event.FilterKeys {
		cmd.Flags().StringSlice(key, nil, "only events with this "+key+"; may be repeated")
		cmd.RegisterFlagCompletionFunc(key, completions[key])
	}
	cmd.Flags().StringVarP(&r.path, "write", "w", "", "write a pcapng capture to `FILE` ('-' for standard output), the verdicts as comments")
	cmd.RegisterFlagCompletionFunc("write", completeFiles)
	return cmd
}

// shower returns what shows an event.
func (c *client) shower(w io.Writer) func(api.Event) error {
	if !c.json {
		return show.To(w).Event
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false) // words have a > in them
	return func(e api.Event) error { return out.Encode(e) }
}

// recorder writes a capture to the file with a path, or, where that is "-", to out.
type recorder struct {
	path   string
	out    io.Writer
	losses *show.Output
	file   *os.File // once it is open
}

// begin makes the file, and a capture of it. The one that was there before is lost then.
func (r *recorder) begin() (do func(api.Event) error, err error) {
	if r.path != "-" {
		if r.file, err = os.Create(r.path); err != nil {
			return nil, fmt.Errorf("writing a capture: %w", err)
		}
		r.out = r.file
	}
	capture, err := show.NewCapture(r.out, r.losses)
	if err != nil {
		return nil, fmt.Errorf("writing a capture: %w", err)
	}
	return capture.Event, nil
}

// end closes the file, if it was opened.
func (r *recorder) end() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
