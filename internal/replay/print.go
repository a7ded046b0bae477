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
	return encoder.Encode(s)
}

// WriteText writes the summary for people.
func (s *Summary) WriteText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "network %s: %d frames, %d of them ARP\n", s.Network, s.Frames.Read, s.Frames.ARP)
	s.writeVerdicts(w)
	s.writeAnswers(w)
	s.writeOtherAnswers(w)
	s.writeSilentHere(w)
	for i, warning := range s.Warnings {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	return w.Flush()
}

// row writes a number, right-aligned, and what it counts.
func row(w io.Writer, n int, cells string) { fmt.Fprintf(w, "%9d  %s\n", n, cells) }

// title begins a table, whose first column counts.
func title(w io.Writer, text, count, cells string) {
	fmt.Fprintf(w, "\n%s\n\n%9s  %s\n", text, count, cells)
}

func (s *Summary) writeVerdicts(w io.Writer) {
	title(w, "What the fabric would have done", "FRAMES", "ACTION\tREASON")
	for _, v := range s.Verdicts {
		row(w, v.Frames, v.Action+"\t"+v.Reason)
	}
	if s.Frames.Answers > 0 {
		row(w, s.Frames.Answers, "\tanswers to requests in the capture, compared below")
	}
	if s.Frames.Cut > 0 {
		row(w, s.Frames.Cut, "\tcut by the capture, not judged")
	}
}

func (s *Summary) writeAnswers(w io.Writer) {
	title(w, "The answers in the capture (there), and the fabric's (here)", "ANSWERS", "COMPARED")
	row(w, s.Answers.Same, "same answer")
	row(w, s.Answers.Other, "other answer")
	row(w, s.Answers.SilentHere, "answered there, silent here")
	row(w, s.Answers.SilentThere, "silent there, answered here")
	row(w, s.Answers.SilentInBoth, "silent in both")
}

func (s *Summary) writeOtherAnswers(w io.Writer) {
	if len(s.OtherAnswers) == 0 {
		return
	}
	title(w, "Other answers", "TIMES", "ADDRESS\tHERE\tTHERE")
	for _, r := range s.OtherAnswers {
		row(w, r.Times, fmt.Sprintf("%s\t%s\t%s", r.Address, r.Here, r.There))
	}
	andMore(w, s.MoreOtherAnswers)
}

func (s *Summary) writeSilentHere(w io.Writer) {
	if len(s.SilentHere) == 0 {
		return
	}
	title(w, "Answered there, silent here", "TIMES", "ADDRESS\tTHERE\tASKED BY\tWITH ADDRESS\tREASON HERE")
	for _, r := range s.SilentHere {
		row(w, r.Times, fmt.Sprintf("%s\t%s\t%s\t%s\t%s", r.Address, r.There, r.Asker, r.Sender, r.Reason))
	}
	andMore(w, s.MoreSilentHere)
}

// andMore says how many times more there were than those that a list has.
func andMore(w io.Writer, n int) {
	if n > 0 {
		fmt.Fprintf(w, "\nand %d more\n", n)
	}
}
