package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
)

// A result has the frames and verdicts of the scenario in one mode.
type result struct {
	mode     config.Mode
	lines    map[string][]line           // by the guest that sent or received them
	verdicts map[responder.Reason]uint64 // of the fabric on app's frames
}

// A line is one ARP frame that a guest sent or received.
type line struct {
	at   time.Duration // since the start of the scenario
	sent bool          // by this guest; received otherwise
	text string        // as tcpdump prints it
}

func (l line) String() string {
	if l.sent {
		return "sent " + l.text
	}
	return "received " + l.text
}

// direction returns the character that the report has for the direction.
func (l line) direction() rune {
	if l.sent {
		return '>'
	}
	return '<'
}

// expected returns the correct result of a mode, without times.
func expected(mode config.Mode) result {
	r := result{mode: mode, lines: map[string][]line{}, verdicts: map[responder.Reason]uint64{}}
	for _, step := range scenario {
		r.verdicts[step.verdict]++
		r.expect(app.Name, line{sent: true, text: step.sent})
		if mode == config.Classic {
			r.expectFlooding(step)
		}
		if answer := step.answer(mode); answer != "" {
			r.expect(app.Name, line{text: answer})
		}
	}
	return r
}

// expectFlooding adds the frames that the guests except app receive and send if the bridge floods app's broadcasts.
func (r result) expectFlooding(step step) {
	for _, g := range step.receivers() {
		r.expect(g.Name, line{text: step.sent})
		if g.Name == step.owner {
			r.expect(g.Name, line{sent: true, text: step.classic})
		}
	}
}

func (r result) expect(guest string, l line) { r.lines[guest] = append(r.lines[guest], l) }

// check returns an error that lists the differences between the results and the correct ones, one a line.
func check(results ...result) error {
	var wrong []string
	for _, got := range results {
		want := expected(got.mode)
		for _, g := range guests {
			wrong = append(wrong, got.compareLines(want, g.Name)...)
		}
		wrong = append(wrong, got.compareVerdicts(want)...)
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("the demo differs from the captures of a real cloud:\n  %s", strings.Join(wrong, "\n  "))
}

// compareLines returns only the first difference in a guest's frames: one additional frame shifts all that follow.
func (got result) compareLines(want result, guest string) []string {
	gotLines, wantLines := got.lines[guest], want.lines[guest]
	for i := range max(len(gotLines), len(wantLines)) {
		g, w := lineAt(gotLines, i), lineAt(wantLines, i)
		if g != w {
			return []string{fmt.Sprintf("%s mode, %s, frame %d: %s; expected: %s", got.mode, guest, i+1, g, w)}
		}
	}
	return nil
}

func lineAt(lines []line, i int) string {
	if i < len(lines) {
		return lines[i].String()
	}
	return "nothing"
}

func (got result) compareVerdicts(want result) []string {
	var wrong []string
	for reason := range responder.Reasons() {
		if g, w := got.verdicts[reason], want.verdicts[reason]; g != w {
			wrong = append(wrong,
				fmt.Sprintf("%s mode, verdicts on app's frames: %d %s; expected: %d", got.mode, g, reason, w))
		}
	}
	return wrong
}

// expectedHappenings returns what happens in the part about allocation, without times.
func expectedHappenings() (all []happening) {
	for _, a := range acts {
		if a.command != "" {
			all = append(all, happening{line: line{text: a.command}})
		}
		all = append(all, happening{a.from.Name, line{sent: true, text: a.sent}})
		if a.answer != "" {
			all = append(all, happening{a.from.Name, line{text: a.answer}})
		}
	}
	return all
}

// checkHappenings returns an error with the first difference.
func checkHappenings(got []happening) error {
	want := expectedHappenings()
	text := func(all []happening, i int) string {
		if i < len(all) {
			return all[i].String()
		}
		return "nothing"
	}
	for i := range max(len(got), len(want)) {
		if g, w := text(got, i), text(want, i); g != w {
			return fmt.Errorf("the allocation differs from what was expected:\n  line %d: %s; expected: %s", i+1, g, w)
		}
	}
	return nil
}
