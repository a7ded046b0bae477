package demo

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab"
)

const setting = `Three guests on a bridge, each in a network namespace of its own. All the fabric has to know:

%s
app resolves the gateway and the other guest, probes its own address twice, asks for an address that
is not allocated, announces itself, and asks the gateway once more, by unicast. gw and db listen.
What each guest sent (>) and saw (<) is in tcpdump's words, with the seconds since the beginning.
`

func printSetting(out io.Writer) {
	fmt.Fprintf(out, setting, indented(fmt.Sprintf(configuration, config.VPC)))
}

func indented(text string) string {
	const indent = "    "
	return indent + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+indent) + "\n"
}

var modeTitles = map[config.Mode]string{
	config.VPC:     "mode: vpc. The fabric answers, and no guest hears another",
	config.Classic: "mode: classic. A plain layer-2 network: everybody hears what app shouts, and owners answer",
}

func printMode(out io.Writer, mode config.Mode) { printTitle(out, modeTitles[mode]) }

func printTitle(out io.Writer, title string) {
	fmt.Fprintf(out, "\n%s\n%s\n\n", title, strings.Repeat("-", len(title)))
}

// printScene prints what each guest sent (>) and saw (<).
func printScene(out io.Writer, s scene) {
	for i, g := range guests {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s, %s\n", g.Name, g.Addr.Addr())
		if len(s.lines[g.Name]) == 0 {
			fmt.Fprintln(out, "             nothing")
		}
		for _, l := range s.lines[g.Name] {
			direction := '<'
			if l.sent {
				direction = '>'
			}
			fmt.Fprintf(out, "    %6.3f %c %s\n", l.at.Seconds(), direction, l.text)
		}
	}
}

func printComparison(out io.Writer, vpc, classic scene) {
	printTitle(out, "The comparison")
	printWhoSaw(out, vpc, classic)
	fmt.Fprintln(out)
	printWhoAnswered(out, vpc, classic)
}

// printWhoSaw prints how many frames of each author each guest saw.
func printWhoSaw(out io.Writer, vpc, classic scene) {
	const row = "%-33s%-5s%-5s%-13s%-5s%-5s%s\n"
	fmt.Fprintf(out, "%-33s%-23s%s\n", "ARP frames", "vpc: seen by", "classic: seen by")
	fmt.Fprintf(out, row, "", app.Name, gw.Name, db.Name, app.Name, gw.Name, db.Name)
	for _, author := range []string{app.Name, gw.Name, db.Name, theFabric} {
		fmt.Fprintf(out, row, "of "+author,
			vpc.countSeen(app, author), vpc.countSeen(gw, author), vpc.countSeen(db, author),
			classic.countSeen(app, author), classic.countSeen(gw, author), classic.countSeen(db, author))
	}
}

const theFabric = "the fabric"

// author returns the guest that sent a frame; what no guest sent, the fabric did.
func (s scene) author(text string) string {
	for guest, lines := range s.lines {
		if slices.ContainsFunc(lines, func(l line) bool { return l.sent && l.text == text }) {
			return guest
		}
	}
	return theFabric
}

func (s scene) countSeen(by lab.GuestConfig, author string) string {
	if by.Name == author {
		return "-"
	}
	n := 0
	for _, l := range s.lines[by.Name] {
		if !l.sent && s.author(l.text) == author {
			n++
		}
	}
	return strconv.Itoa(n)
}

// printWhoAnswered prints for each step who answered it, and the fabric's verdict.
func printWhoAnswered(out io.Writer, vpc, classic scene) {
	const row = "%-32s %-22s %-21s %s\n"
	fmt.Fprintf(out, row, "app's requests", "vpc: answered by", "classic: answered by", "fabric's verdict")
	for i, s := range story {
		fmt.Fprintf(out, row, s.title, vpc.answerer(i), classic.answerer(i), s.verdict)
	}
}

// answerer says who answered step i, and with what length: "gw, length 28".
func (s scene) answerer(i int) string {
	var answers []string
	step := -1
	for _, l := range s.lines[app.Name] {
		if l.sent {
			step++
		} else if step == i {
			_, length, _ := strings.Cut(l.text, ", length ")
			answers = append(answers, s.author(l.text)+", length "+length)
		}
	}
	return cmp.Or(strings.Join(answers, "; "), "nobody")
}

func printSuccess(out io.Writer) {
	fmt.Fprintln(out, "\nThis is how a real cloud was seen to behave: vpc in its VPC, classic on its layer-2 network.")
}
