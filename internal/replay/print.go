package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteJSON writes the summary as one JSON object.
func (s *Summary) WriteJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false) // no \u003e for >
	return encoder.Encode(s)
}

// WriteText writes the summary for people.
func (s *Summary) WriteText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "network %s: %d frames, %d of them ARP\n", s.Network, s.Frames.Read, s.Frames.ARP)
	s.writeVerdicts(w)
	s.writeAnswers(w)
	s.writeOtherAnswers(w)
	s.writeCapturedOnly(w)
	for i, warning := range s.Warnings {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	return w.Flush()
}

// row writes a right-aligned count and the other cells of a row.
func row(w io.Writer, n int, cells string) { fmt.Fprintf(w, "%9d  %s\n", n, cells) }

// title writes the title and the heading of a table. Its first column is a count.
func title(w io.Writer, text, count, cells string) {
	fmt.Fprintf(w, "\n%s\n\n%9s  %s\n", text, count, cells)
}

func (s *Summary) writeVerdicts(w io.Writer) {
	title(w, "Verdicts of the fabric", "FRAMES", "ACTION\tREASON")
	for _, v := range s.Verdicts {
		row(w, v.Frames, v.Action+"\t"+v.Reason)
	}
	if s.Frames.Answers > 0 {
		row(w, s.Frames.Answers, "\tanswers to requests in the capture, compared below")
	}
	if s.Frames.Cut > 0 {
		row(w, s.Frames.Cut, "\ttruncated in the capture, not evaluated")
	}
}

func (s *Summary) writeAnswers(w io.Writer) {
	title(w, "Answers in the capture, compared with the fabric's", "ANSWERS", "COMPARED")
	row(w, s.Answers.Same, "same answer")
	row(w, s.Answers.Other, "other answer")
	row(w, s.Answers.CapturedOnly, string(capturedOnly))
	row(w, s.Answers.OursOnly, "answered by the fabric only")
	row(w, s.Answers.Neither, "not answered")
}

func (s *Summary) writeOtherAnswers(w io.Writer) {
	if len(s.OtherAnswers) == 0 {
		return
	}
	title(w, "Other answers", "TIMES", "ADDRESS\tFABRIC\tCAPTURE")
	for _, r := range s.OtherAnswers {
		row(w, r.Times, fmt.Sprintf("%s\t%s\t%s", r.Address, r.Ours, r.Captured))
	}
	andMore(w, s.MoreOtherAnswers)
}

func (s *Summary) writeCapturedOnly(w io.Writer) {
	if len(s.CapturedOnly) == 0 {
		return
	}
	title(w, "Answered in the capture only", "TIMES", "ADDRESS\tCAPTURE\tREQUESTER\tSENDER\tREASON")
	for _, r := range s.CapturedOnly {
		row(w, r.Times, fmt.Sprintf("%s\t%s\t%s\t%s\t%s", r.Address, r.Captured, r.Requester, r.Sender, r.Reason))
	}
	andMore(w, s.MoreCapturedOnly)
}

// andMore writes the number of answers that are not in a list.
func andMore(w io.Writer, n int) {
	if n > 0 {
		fmt.Fprintf(w, "\nand %d more\n", n)
	}
}
