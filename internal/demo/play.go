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

// patience is how long a scene may take; it takes little more than a second. What has not been seen by
// then is missing.
const patience = 30 * time.Second

var errInterrupted = errors.New("interrupted")

// Play plays the story in both modes and reports it on out. Its error says what was not as it should be.
func Play(ctx context.Context, out io.Writer) error {
	stage, err := build()
	if err != nil {
		return err
	}
	defer stage.remove()
	printSetting(out)
	vpc, err := stage.playAndPrint(ctx, out, config.VPC)
	if err != nil {
		return err
	}
	classic, err := stage.playAndPrint(ctx, out, config.Classic)
	if err != nil {
		return err
	}
	printComparison(out, vpc, classic)
	if err := check(vpc, classic); err != nil {
		return err
	}
	printSuccess(out)
	return nil
}

func (s stage) playAndPrint(ctx context.Context, out io.Writer, mode config.Mode) (scene, error) {
	printMode(out, mode)
	played, err := s.play(ctx, mode)
	if ctx.Err() != nil {
		return scene{}, errInterrupted
	}
	if err != nil {
		return scene{}, err
	}
	printScene(out, played)
	return played, nil
}

// play plays the story in one mode, with a fabric of its own.
func (s stage) play(ctx context.Context, mode config.Mode) (played scene, err error) {
	captures, err := s.capture()
	if err != nil {
		return scene{}, err
	}
	defer captures.close()
	log := slog.New(slog.DiscardHandler)
	err = withFabric(ctx, mode, log, func(ctx context.Context, f *fabric.Fabric) (err error) {
		played, err = captures.play(ctx, mode, f)
		return err
	})
	return played, err
}

// captures are the guests' captures by name.
type captures map[string]*lab.Capture

func (s stage) capture() (captures, error) {
	all := captures{}
	for _, g := range s {
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

// play plays the steps and waits until all is seen that will ever be, or until its patience ends: what is
// missing then is for check to tell.
func (c captures) play(ctx context.Context, mode config.Mode, f *fabric.Fabric) (scene, error) {
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	if err := c.playSteps(patient, mode); err != nil {
		return scene{}, err
	}
	if err := c.sendMarks(patient); err != nil {
		return scene{}, err
	}
	played := scene{mode: mode, verdicts: waitForVerdicts(patient, f), lines: map[string][]line{}}
	for guest, capture := range c {
		played.lines[guest] = linesOf(capture.Frames(), start)
	}
	return played, ctx.Err()
}

func (c captures) playSteps(ctx context.Context, mode config.Mode) error {
	answers := 0
	for _, s := range story {
		sleep(ctx, s.pause)
		if err := c[app.Name].Send(s.request.Frame()); err != nil {
			return err
		}
		if s.answer(mode) != "" {
			answers++
		}
		c[app.Name].Wait(ctx, func(seen []lab.Seen) bool { return countArrived(seen) >= answers })
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

// sendMarks sends a mark to each of the other guests and waits until it is there.
func (c captures) sendMarks(ctx context.Context) error {
	for _, g := range audience() {
		mark := mark(g)
		if err := c[app.Name].Send(mark); err != nil {
			return err
		}
		c[g.Name].Wait(ctx, func(seen []lab.Seen) bool {
			return slices.ContainsFunc(seen, func(s lab.Seen) bool { return bytes.Equal(s.Frame, mark) })
		})
	}
	return nil
}

// waitForVerdicts returns the verdicts about app's frames, once there is one for each step.
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
		if sum >= len(story) || ctx.Err() != nil {
			return verdicts
		}
		sleep(ctx, time.Millisecond)
	}
}

// linesOf returns what `tcpdump arp` would have printed.
func linesOf(frames []lab.Seen, start time.Time) []line {
	var lines []line
	for _, f := range frames {
		if lab.CarriesARP(f.Frame) {
			lines = append(lines, line{f.At.Sub(start), f.Sent, responder.Describe(f.Frame)})
		}
	}
	return lines
}
