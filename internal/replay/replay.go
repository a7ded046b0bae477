package replay

import (
	"context"
	"fmt"
	"io"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
)

// Run evaluates the frames of a capture as those of a network's guests. If lines is not nil, Run writes a line to it for
// each ARP frame. When ctx is done, Run stops reading and returns the summary up to there.
//
// Run returns an error if nothing was evaluated, because in is not a capture of Ethernet frames or cannot be read. Later
// errors, such as a truncated capture, are among the summary's warnings.
func Run(ctx context.Context, in io.Reader, network *config.Network, lines io.Writer) (*Summary, error) {
	c, err := openCapture(in)
	if err != nil {
		return nil, err
	}
	r := &replay{
		evaluator: newEvaluator(network), comparison: newComparison(), counts: counts{}, lines: lines,
		summary: Summary{Network: network.Name, Warnings: []string{}},
	}
	warnings, err := c.each(ctx, r.frame)
	if err != nil {
		return nil, err
	}
	return r.finish(c, warnings), nil
}

// A replay is the state of Run.
type replay struct {
	evaluator  *evaluator
	comparison *comparison
	counts     counts
	summary    Summary
	lines      io.Writer
}

// frame evaluates one frame, or compares it with the fabric's answer.
func (r *replay) frame(f frame) {
	data, ok := r.evaluator.inVLAN(f.data)
	if !ok {
		r.summary.Frames.OtherVLAN++
		return
	}
	v, ours := r.evaluator.decide(data)
	if v.Reason == responder.NotARP || f.hasNoType() {
		r.summary.Frames.NotARP++
		return
	}
	p, ok := packetOf(data)
	if !ok && f.cut {
		r.summary.Frames.Cut++
		r.line(f, "truncated in the capture")
		return
	}
	r.summary.Frames.ARP++
	if ok && v.Reason != responder.Malformed {
		// Old questions expire first, so that a late reply is not taken for an answer.
		r.comparison.expire(f.at)
		if outcome, ok := r.comparison.answer(&p); ok {
			r.summary.Frames.Answers++
			r.line(f, string(outcome))
			return
		}
		r.comparison.ask(&p, f.at, v.Reason, ours)
	}
	r.counts.add(v)
	r.line(f, v.Action.String()+" "+v.Reason.String())
}

func (r *replay) line(f frame, words string) {
	if r.lines != nil {
		fmt.Fprintf(r.lines, "%7d  %s: %s\n", f.number, responder.Describe(f.data), words)
	}
}

// finish ends the comparison and fills in the summary.
func (r *replay) finish(c *capture, warnings []string) *Summary {
	r.comparison.finish()
	s := &r.summary
	s.Frames.Read = c.read
	s.Frames.NotEthernet = c.notEthernetFrames()
	s.Verdicts = r.counts.verdicts()
	s.Answers = r.comparison.answers
	s.OtherAnswers, s.MoreOtherAnswers = r.comparison.otherAnswers(), r.comparison.others.more
	s.CapturedOnly, s.MoreCapturedOnly = r.comparison.capturedAnswers(), r.comparison.capturedOnly.more
	s.Warnings = append(s.Warnings, warnings...)
	if n := s.Frames.OtherVLAN; n > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%d frames are of other VLANs than %d and were not evaluated", n, r.evaluator.vlan))
	}
	if n := s.Answers.NotCompared; n > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf(
			"%d requests were not compared: more than %d were unanswered within %v", n, maxPending, window))
	}
	return s
}
