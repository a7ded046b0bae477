package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/spf13/cobra"
)

func newWatch() *cobra.Command {
	var w watch
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show verdicts as the fabric makes them",
		Long: "Show each verdict of the running fabric: the frame as tcpdump prints it, and the action and the reason at the\n" +
			"end of the line. For non-ARP, only a sample of dropped frames is shown (50/s per port). Ctrl-C ends watch; it\n" +
			"then prints a summary on standard error, except with --json.\n\n" +
			"First come the last verdicts before watch began, on a terminal in a weak colour; with --json, --write or\n" +
			"--count only if --last asks for them. They do not count for --count, nor in the summary.\n\n" +
			"All watchers together get 2500 events a second. Events beyond this limit, and events that a watcher reads too\n" +
			"slowly, are lost and counted. Only events that match the filters count towards the limit. Guests never wait\n" +
			"for a watcher.",
		Example: "  arpfabric watch --action drop --port vnet2\n" +
			"  arpfabric watch -c 1 --reason spoofed-sender,spoofed-source\n" +
			"  arpfabric watch -w - | wireshark -k -i -",
		Args: usage(cobra.MatchAll(takes(), func(*cobra.Command, []string) error {
			switch {
			case w.json && w.path != "":
				return errors.New("give only one of --write and --json")
			case w.last < 0 || w.last > event.MaxLast:
				return fmt.Errorf("--last takes a number from 0 to %d, not %d", event.MaxLast, w.last)
			}
			return nil
		})),
		RunE: func(cmd *cobra.Command, _ []string) error {
			isForPeople := !w.json && w.path == "" && w.count == 0
			if !isForPeople && !cmd.Flags().Changed("last") {
				w.last = 0
			}
			return w.run(cmd)
		},
	}
	w.addFlags(cmd)
	w.filterFlags = w.addFilterFlags(cmd, "events")
	cmd.Flags().Uint64VarP(&w.count, "count", "c", 0, "end after `N` events (default: at Ctrl-C)")
	cmd.Flags().IntVarP(&w.last, "last", "n", 10, "begin with the last `N` events before, up to 100")
	cmd.Flags().StringVarP(&w.path, "write", "w", "", "write a pcapng capture to `FILE` ('-' for standard output), with the verdicts as comments")
	cmd.RegisterFlagCompletionFunc("write", completeFiles)
	return cmd
}

// A watch is one run of 'watch'.
type watch struct {
	client
	filterFlags
	recorder
	count uint64 // of events, after which it ends; 0 for any
	last  int    // events before it began
	tally show.Tally
	began bool
}

// errEnough ends a watch after its count of events.
var errEnough = errors.New("enough events")

func (w *watch) run(cmd *cobra.Command) error {
	filter, err := w.parse()
	if err != nil {
		return err
	}
	networks, err := checkNetworks(cmd.Context(), w.connect(), filter)
	if err == nil {
		err = checkPorts(cmd.Context(), w.connect(), filter)
	}
	if err != nil {
		return err
	}
	notes := show.NewOutput(cmd.ErrOrStderr())
	err = w.connect().Watch(cmd.Context(), filter, w.last, func() (func(api.Event) error, error) {
		print, err := w.begin(cmd.OutOrStdout(), notes)
		if err == nil && !w.json {
			w.began = true
			notes.Line("watching " + show.Watching(networks, filter) + "; Ctrl-C ends")
		}
		return func(e api.Event) error { return w.event(e, print) }, err
	})
	if w.began {
		notes.Line(w.tally.String())
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return errors.Join(err, w.end())
}

func (w *watch) event(e api.Event, print func(api.Event) error) error {
	if err := print(e); err != nil || e.Earlier {
		return err
	}
	w.tally.Add(e)
	if w.count > 0 && w.tally.Events() == w.count {
		return errEnough
	}
	return nil
}

// begin returns a function that prints an event as a line of text or JSON, or writes it to the capture.
func (w *watch) begin(out io.Writer, notes *show.Output) (func(api.Event) error, error) {
	switch {
	case w.path != "":
		w.out, w.losses = out, notes
		return w.recorder.begin()
	case !w.json:
		return show.NewOutput(out).Event, nil
	}
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false) // keep the > that tcpdump prints in a frame
	return func(e api.Event) error { return lines.Encode(e) }, nil
}

// recorder writes a capture to the file at path, or to out if path is "-".
type recorder struct {
	path   string
	out    io.Writer
	losses *show.Output // for reports of lost events
	file   *os.File     // nil until begin has created it
}

// begin creates the file, and truncates an existing one. Watch calls it only after the fabric has answered, so an older
// capture is not lost if no fabric runs.
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

// end closes the file if begin has created it.
func (r *recorder) end() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
