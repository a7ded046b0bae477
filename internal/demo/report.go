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

const introduction = `Three guests on a bridge, each in a network namespace of its own. The whole configuration:

%s
app resolves the gateway and the other guest, probes its own address twice, asks for an address that
is not allocated, announces itself, and asks the gateway once more, by unicast. gw and db listen.
The report lists the ARP frames that each guest sent (>) and received (<) as tcpdump prints them, with
the seconds since the start.
`

func printIntroduction(out io.Writer) {
	fmt.Fprintf(out, introduction, indented(fmt.Sprintf(configuration, config.VPC)))
}

func indented(text string) string {
	const indent = "    "
	return indent + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+indent) + "\n"
}

var modeTitles = map[config.Mode]string{
	config.VPC:     "mode: vpc. The fabric answers, and no guest receives another's ARP",
	config.Classic: "mode: classic. A plain layer-2 network: the bridge floods app's broadcasts, and the owners answer",
}

func printMode(out io.Writer, mode config.Mode) { printTitle(out, modeTitles[mode]) }

func printTitle(out io.Writer, title string) {
	fmt.Fprintf(out, "\n%s\n%s\n\n", title, strings.Repeat("-", len(title)))
}

// printResult prints the frames that each guest sent (>) and received (<).
func printResult(out io.Writer, r result) {
	for i, g := range guests {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s, %s\n", g.Name, g.Addr.Addr())
		if len(r.lines[g.Name]) == 0 {
			fmt.Fprintln(out, "             nothing")
		}
		for _, l := range r.lines[g.Name] {
			fmt.Fprintf(out, "    %6.3f %c %s\n", l.at.Seconds(), l.direction(), l.text)
		}
	}
}

// printHappenings prints commands and frames as they happened.
func printHappenings(out io.Writer, all []happening) {
	for _, h := range all {
		if h.guest == "" {
			fmt.Fprintf(out, "\n    %6.3f $ %s\n", h.at.Seconds(), h.text)
			continue
		}
		fmt.Fprintf(out, "    %6.3f %s %c %s\n", h.at.Seconds(), h.guest, h.direction(), h.text)
	}
}

func printComparison(out io.Writer, vpc, classic result) {
	printTitle(out, "Comparison")
	printReceived(out, vpc, classic)
	fmt.Fprintln(out)
	printAnswerers(out, vpc, classic)
}

// printReceived prints how many frames each guest received from each sender.
func printReceived(out io.Writer, vpc, classic result) {
	const row = "%-33s%-5s%-5s%-13s%-5s%-5s%s\n"
	fmt.Fprintf(out, "%-33s%-23s%s\n", "ARP frames", "vpc: received by", "classic: received by")
	fmt.Fprintf(out, row, "", app.Name, gw.Name, db.Name, app.Name, gw.Name, db.Name)
	for _, sender := range []string{app.Name, gw.Name, db.Name, theFabric} {
		fmt.Fprintf(out, row, "from "+sender,
			vpc.countReceived(app, sender), vpc.countReceived(gw, sender), vpc.countReceived(db, sender),
			classic.countReceived(app, sender), classic.countReceived(gw, sender), classic.countReceived(db, sender))
	}
}

const theFabric = "the fabric"

// sender returns the guest that sent a frame, or the fabric if no guest did.
func (r result) sender(text string) string {
	for guest, lines := range r.lines {
		if slices.ContainsFunc(lines, func(l line) bool { return l.sent && l.text == text }) {
			return guest
		}
	}
	return theFabric
}

func (r result) countReceived(by lab.GuestConfig, sender string) string {
	if by.Name == sender {
		return "-"
	}
	n := 0
	for _, l := range r.lines[by.Name] {
		if !l.sent && r.sender(l.text) == sender {
			n++
		}
	}
	return strconv.Itoa(n)
}

// printAnswerers prints for each step the sender of the answer, and the fabric's verdict.
func printAnswerers(out io.Writer, vpc, classic result) {
	const row = "%-32s %-22s %-21s %s\n"
	fmt.Fprintf(out, row, "app's requests", "vpc: answered by", "classic: answered by", "fabric's verdict")
	for i, s := range scenario {
		fmt.Fprintf(out, row, s.title, vpc.answerer(i), classic.answerer(i), s.verdict)
	}
}

// answerer returns the sender and the length of the answer to step i, such as "gw, length 28".
func (r result) answerer(i int) string {
	var answers []string
	step := -1
	for _, l := range r.lines[app.Name] {
		if l.sent {
			step++
		} else if step == i {
			_, length, _ := strings.Cut(l.text, ", length ")
			answers = append(answers, r.sender(l.text)+", length "+length)
		}
	}
	return cmp.Or(strings.Join(answers, "; "), "nobody")
}

func printSuccess(out io.Writer) {
	fmt.Fprintln(out, "\nBoth modes match captures of a real cloud: vpc its VPC, and classic its layer-2 network.")
}
