package demo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
)

// timeout limits the run of one mode, which usually takes little more than a second. Frames that have not arrived by
// then are missing.
const timeout = 30 * time.Second

var errInterrupted = errors.New("interrupted")

// Run runs the scenario in both modes and prints a report to out. Its error lists the differences from the correct
// result.
func Run(ctx context.Context, datapath config.Datapath, out io.Writer) error {
	t, err := newTestbed()
	if err != nil {
		return err
	}
	defer t.remove()
	printIntroduction(out)
	vpc, err := t.runAndPrint(ctx, out, config.VPC, datapath)
	if err != nil {
		return err
	}
	classic, err := t.runAndPrint(ctx, out, config.Classic, datapath)
	if err != nil {
		return err
	}
	printComparison(out, vpc, classic)
	if err := check(vpc, classic); err != nil {
		return err
	}
	if err := t.runAllocation(ctx, out, datapath); err != nil {
		return err
	}
	printSuccess(out)
	return nil
}

func (t testbed) runAndPrint(ctx context.Context, out io.Writer, mode config.Mode, datapath config.Datapath) (result, error) {
	printMode(out, mode)
	r, err := t.run(ctx, mode, datapath)
	if ctx.Err() != nil {
		return result{}, errInterrupted
	}
	if err != nil {
		return result{}, err
	}
	printResult(out, r)
	return r, nil
}

// run runs the scenario in one mode, with a fabric of its own.
func (t testbed) run(ctx context.Context, mode config.Mode, datapath config.Datapath) (r result, err error) {
	// Before the fabric starts, so that no frame of the start is missed.
	captures, err := t.capture()
	if err != nil {
		return result{}, err
	}
	defer captures.close()
	log := slog.New(slog.DiscardHandler)
	err = withFabric(ctx, mode, datapath, log, func(ctx context.Context, f *fabric.Fabric) (err error) {
		r, err = captures.run(ctx, mode, f)
		return err
	})
	return r, err
}

// captures has the capture of each guest by the guest's name.
type captures map[string]*lab.Capture

func (t testbed) capture() (captures, error) {
	all := captures{}
	for _, g := range t {
		c, err := g.StartCapture()
		if err != nil {
			all.close()
			return nil, err
		}
		all[g.Name] = c
	}
	return all, nil
}

func (c captures) close() {
	for _, capture := range c {
		capture.Close()
	}
}

// run sends the requests and waits until no more frames can arrive, or until the timeout. Missing frames are no error
// here: check reports them.
func (c captures) run(ctx context.Context, mode config.Mode, f *fabric.Fabric) (result, error) {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	if err := c.sendRequests(waiting, mode); err != nil {
		return result{}, err
	}
	if err := c.sendMarkers(waiting); err != nil {
		return result{}, err
	}
	r := result{mode: mode, verdicts: waitForVerdicts(waiting, f), lines: map[string][]line{}}
	for guest, capture := range c {
		r.lines[guest] = linesOf(capture.Frames(), start)
	}
	return r, ctx.Err()
}

// sendRequests sends the request of each step when the answers to the steps before have arrived.
func (c captures) sendRequests(ctx context.Context, mode config.Mode) error {
	answers := 0
	for _, s := range scenario {
		sleep(ctx, s.pause)
		if err := c[app.Name].Send(s.request.Frame()); err != nil {
			return err
		}
		if s.answer(mode) != "" {
			answers++
		}
		// A timeout is no error here: check reports the missing answer.
		_ = c[app.Name].Wait(ctx, func(seen []lab.Seen) bool { return countArrived(seen) >= answers })
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func countArrived(seen []lab.Seen) int {
	n := 0
	for _, s := range seen {
		if lab.CarriesARP(s.Frame) && !s.Sent {
			n++
		}
	}
	return n
}

// sendMarkers sends a marker to each guest except app, and waits until it has arrived.
func (c captures) sendMarkers(ctx context.Context) error {
	for _, g := range listeners() {
		marker := marker(g)
		if err := c[app.Name].Send(marker); err != nil {
			return err
		}
		_ = c[g.Name].Wait(ctx, func(seen []lab.Seen) bool {
			return slices.ContainsFunc(seen, func(s lab.Seen) bool { return bytes.Equal(s.Frame, marker) })
		})
	}
	return nil
}

// waitForVerdicts returns the verdicts on app's frames, once there is one for each step. The markers do not pass through
// the fabric, so it may not have read the last requests when the markers arrive.
func waitForVerdicts(ctx context.Context, f *fabric.Fabric) map[responder.Reason]uint64 {
	for {
		verdicts, sum := map[responder.Reason]uint64{}, 0
		for _, port := range f.Counts() {
			if port.Port == app.Port {
				verdicts = port.Reasons()
			}
		}
		for _, n := range verdicts {
			sum += int(n)
		}
		if sum >= len(scenario) || ctx.Err() != nil {
			return verdicts
		}
		sleep(ctx, time.Millisecond)
	}
}

// linesOf returns the lines that `tcpdump arp` would print.
func linesOf(frames []lab.Seen, start time.Time) []line {
	var lines []line
	for _, f := range frames {
		if lab.CarriesARP(f.Frame) {
			lines = append(lines, line{f.At.Sub(start), f.Sent, responder.Describe(f.Frame)})
		}
	}
	return lines
}
