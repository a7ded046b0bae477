package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
)

// A scene is what was seen of the story in one mode.
type scene struct {
	mode     config.Mode
	lines    map[string][]line           // by guest
	verdicts map[responder.Reason]uint64 // the fabric's, about app's frames
}

// A line is one ARP frame as a guest saw it.
type line struct {
	at   time.Duration // since the scene began
	sent bool          // by this guest
	text string        // as tcpdump has it
}

func (l line) String() string {
	if l.sent {
		return "sent " + l.text
	}
	return "seen " + l.text
}

// expected returns the scene as it should be, without times.
func expected(mode config.Mode) scene {
	s := scene{mode: mode, lines: map[string][]line{}, verdicts: map[responder.Reason]uint64{}}
	for _, step := range story {
		s.verdicts[step.verdict]++
		s.expect(app.Name, line{sent: true, text: step.sent})
		if mode == config.Classic {
			s.expectFlooding(step)
		}
		if answer := step.answer(mode); answer != "" {
			s.expect(app.Name, line{text: answer})
		}
	}
	return s
}

// expectFlooding is what the guests other than app see, and say, where nothing keeps it from them.
func (s scene) expectFlooding(step step) {
	for _, g := range step.hearers() {
		s.expect(g.Name, line{text: step.sent})
		if g.Name == step.owner {
			s.expect(g.Name, line{sent: true, text: step.classic})
		}
	}
}

func (s scene) expect(guest string, l line) { s.lines[guest] = append(s.lines[guest], l) }

// check says in which ways the scenes are not as they should be.
func check(scenes ...scene) error {
	var wrong []string
	for _, got := range scenes {
		want := expected(got.mode)
		for _, g := range guests {
			wrong = append(wrong, got.compareLines(want, g.Name)...)
		}
		wrong = append(wrong, got.compareVerdicts(want)...)
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("this is not what a real cloud's networks show:\n  %s", strings.Join(wrong, "\n  "))
}

// compareLines returns the first difference in what a guest saw: one frame too many shifts all others.
func (got scene) compareLines(want scene, guest string) []string {
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

func (got scene) compareVerdicts(want scene) []string {
	var wrong []string
	for r := range responder.NumReasons {
		reason := responder.Reason(r)
		if g, w := got.verdicts[reason], want.verdicts[reason]; g != w {
			wrong = append(wrong,
				fmt.Sprintf("%s mode, verdicts on app's frames: %d %s; expected: %d", got.mode, g, reason, w))
		}
	}
	return wrong
}
