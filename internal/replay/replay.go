package replay

import (
	"context"
	"fmt"
	"io"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
)

// Run judges the frames of a capture as the fabric would those of a network's guests. Where lines is not nil, it gets a
// line for each ARP frame. When ctx is done, the capture is taken to end there.
//
// An error says that nothing was judged: in holds no capture of Ethernet frames, or none that can be read.
// What is wrong later on, such as a capture that is cut off, is among the summary's warnings.
func Run(ctx context.Context, in io.Reader, network *config.Network, lines io.Writer) (*Summary, error) {
	c, err := openCapture(in)
	if err != nil {
		return nil, err
	}
	r := &replay{
		judge: newJudge(network), comparison: newComparison(), counts: counts{}, lines: lines,
		summary: Summary{Network: network.Name, Warnings: []string{}},
	}
	warnings, err := c.each(ctx, r.frame)
	if err != nil {
		return nil, err
	}
	return r.finish(c, warnings), nil
}

// A replay is what Run has in hand.
type replay struct {
	judge      *judge
	comparison *comparison
	counts     counts
	summary    Summary
	lines      io.Writer
}

// frame judges one frame, or takes it for an answer.
func (r *replay) frame(f frame) {
	v, here := r.judge.decide(f.data)
	if v.Reason == responder.NotARP {
		r.summary.Frames.NotARP++
		return
	}
	p, ok := packetOf(f.data)
	if !ok && f.cut {
		r.summary.Frames.Cut++
		r.line(f, "cut by the capture")
		return
	}
	r.summary.Frames.ARP++
	if ok && v.Reason != responder.Malformed {
		r.comparison.expire(f.at)
		if outcome, ok := r.comparison.answer(&p); ok {
			r.summary.Frames.Answers++
			r.line(f, string(outcome))
			return
		}
		r.comparison.ask(&p, f.at, v.Reason, here)
	}
	r.counts.add(v)
	r.line(f, v.Action.String()+" "+v.Reason.String())
}

func (r *replay) line(f frame, words string) {
	if r.lines != nil {
		fmt.Fprintf(r.lines, "%7d  %s: %s\n", f.number, responder.Describe(f.data), words)
	}
}

// finish closes the comparison and fills in the summary.
func (r *replay) finish(c *capture, warnings []string) *Summary {
	r.comparison.finish()
	s := &r.summary
	s.Frames.Read = c.read
	s.Frames.NotEthernet = c.notEthernetFrames()
	s.Verdicts = r.counts.verdicts()
	s.Answers = r.comparison.answers
	s.OtherAnswers, s.MoreOtherAnswers = r.comparison.otherAnswers(), r.comparison.others.more
	s.SilentHere, s.MoreSilentHere = r.comparison.silentHere(), r.comparison.silent.more
	s.Warnings = append(s.Warnings, warnings...)
	if n := s.Answers.NotWaitedFor; n > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf(
			"%d requests were not compared: more than %d were unanswered within %v", n, maxPending, window))
	}
	return s
}
