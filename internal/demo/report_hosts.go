package demo

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
)

const hostsIntroduction = `%d hosts, each in a network namespace: a bridge with two guests, and a fabric of its own. A network
between the hosts has their tunnels (VXLAN), and etcd. The configuration of host1, whose lease is
shorter than usual so that the demo is, too:

%s
The report lists what happens, with the seconds since the start of each part, and the ARP frames that
guests send (>) and receive (<) as tcpdump prints them.
`

func printHostsIntroduction(out io.Writer, number int, datapath config.Datapath) {
	fmt.Fprintf(out, hostsIntroduction, number, indented(configureHost(number, 1, datapath)))
}

// An account prints what happens in a part.
type account struct {
	out     io.Writer
	start   time.Time
	isSpace bool // the last line is empty
}

func (a *account) note(format string, args ...any) {
	fmt.Fprintf(a.out, "    %6.3f %s\n", time.Since(a.start).Seconds(), fmt.Sprintf(format, args...))
	a.isSpace = false
}

// space prints an empty line, unless the last one is.
func (a *account) space() {
	if !a.isSpace {
		fmt.Fprintln(a.out)
	}
	a.isSpace = true
}

func (a *account) command(h *host, command string) {
	a.space()
	a.note("%s $ %s", h.Name, command)
}

// sent prints a guest's request for an address.
func (a *account) sent(g *hostGuest, addr netip.Addr) {
	a.note("%s > %s", g.Name, responder.Describe(lab.Request(g.MAC, g.Addr.Addr(), addr).Frame()))
}

func (a *account) received(g *hostGuest, answer string) { a.note("%s < %s", g.Name, answer) }

func (a *account) table(rows []string) {
	a.space()
	fmt.Fprintf(a.out, "    %s\n\n", strings.Join(rows, "\n    "))
}

// conclude prints the evidence, or what is wrong.
func (a *account) conclude(evidence string, err error) {
	a.space()
	if err != nil {
		fmt.Fprintf(a.out, "    FAIL: %s\n", err)
		return
	}
	fmt.Fprintf(a.out, "    PASS: %s\n", evidence)
}

func (p pings) rows(t *hostsTestbed) (rows []string) {
	header := "ms until the reply of"
	for _, g := range t.guests {
		header += fmt.Sprintf(" %6s", g.Name)
	}
	rows = append(rows, header)
	for _, h := range t.hosts {
		from := t.app(h).Name
		row := fmt.Sprintf("%-21s", "to "+from)
		for _, g := range t.guests {
			text := "-"
			if took, ok := p.took[[2]string{from, g.Name}]; ok {
				text = fmt.Sprintf("%.1f", took.Seconds()*1000)
			}
			row += fmt.Sprintf(" %6s", text)
		}
		rows = append(rows, row)
	}
	return rows
}

func (t tally) rows(hosts []*host) (rows []string) {
	header := "frames in the tunnels"
	for _, k := range kinds {
		header += "  " + string(k)
	}
	rows = append(rows, header)
	for _, h := range hosts {
		row := fmt.Sprintf("%-21s", "from "+h.Name)
		for _, k := range kinds {
			row += fmt.Sprintf("  %*d", len(k), t[h][k])
		}
		rows = append(rows, row)
	}
	return rows
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func printHostsSuccess(out io.Writer, took time.Duration) {
	fmt.Fprintf(out, "\nAll %d parts passed, in %s.\n", len(parts), seconds(took))
}
