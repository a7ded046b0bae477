package show

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/responder"
)

// Status writes how a fabric is at a time.
func (o *Output) Status(s api.Status, now time.Time) error {
	c := s.Configuration
	fmt.Fprintf(o.w, "arpfabric %s, process %d, up %s\n", s.Version, s.PID, age(now, s.Started))
	fmt.Fprintf(o.w, "configuration %d, loaded %s ago from %s\n", c.Generation, age(now, c.Loaded), strings.Join(c.Files, ", "))
	if c.LastError != "" {
		fmt.Fprintf(o.w, "the last reload failed %s ago, and the configuration before is in force:\n", age(now, *c.FailedAt))
		for line := range strings.Lines(c.LastError) {
			fmt.Fprintf(o.w, "  %s\n", strings.TrimRight(line, "\n"))
		}
	}
	io.WriteString(o.w, "\n")
	rows := [][]string{{"NETWORK", "MODE", "ATTACHED TO", "GUARD", "BINDINGS", "PORTS"}}
	for _, n := range s.Networks {
		rows = append(rows, []string{n.Name, n.Mode, n.Attach, n.Guard, strconv.Itoa(n.Bindings), strconv.Itoa(n.Ports)})
	}
	if err := o.table(rows); err != nil {
		return err
	}
	io.WriteString(o.w, "\n")
	if err := o.list(reasons(s), "no frames yet"); err != nil {
		return err
	}
	return o.troubles(s)
}

// reasons are the rows of a table, the most frequent reason first.
func reasons(s api.Status) [][]string {
	rows := [][]string{{"REASON", "FRAMES"}}
	for _, reason := range byCount(s.Reasons) {
		rows = append(rows, []string{reason, strconv.FormatUint(s.Reasons[reason], 10)})
	}
	if s.Refused > 0 {
		rows = append(rows, []string{"(refused by the guard)", strconv.FormatUint(s.Refused, 10)})
	}
	return rows
}

func byCount(counts map[string]uint64) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}

// troubles writes a line for each kind of trouble that there was.
func (o *Output) troubles(s api.Status) error {
	separator := "\n" // one empty line before the first
	for _, trouble := range []struct {
		words string
		count uint64
	}{
		{"violations ('arpfabric violations' lists them)", uint64(s.Violations.Records)},
		{"guard put back after somebody had changed it", s.Guard.Reinstalled},
		{"failed reloads", s.Configuration.Failures},
		{"times that frames were lost, as they were not read in time", s.Losses.Frames},
		{"times that the kernel's messages were lost, and all was read anew", s.Losses.Events},
	} {
		if trouble.count == 0 {
			continue
		}
		if _, err := fmt.Fprintf(o.w, "%s%s: %d\n", separator, trouble.words, trouble.count); err != nil {
			return err
		}
		separator = ""
	}
	return nil
}

// age writes how long ago something was, in at most two units.
func age(now, then time.Time) string {
	d := max(0, now.Sub(then))
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}

// Ports writes a line for each port.
func (o *Output) Ports(ports []api.Port) error {
	rows := [][]string{{"NETWORK", "PORT", "KIND", "INDEX", "REFUSED", "REASONS"}}
	for _, p := range ports {
		var counts []string
		for _, reason := range byCount(p.Reasons) {
			counts = append(counts, fmt.Sprintf("%s %d", reason, p.Reasons[reason]))
		}
		rows = append(rows, []string{
			p.Network, p.Name, string(p.Kind), strconv.Itoa(p.Index),
			strconv.FormatUint(p.Refused, 10), strings.Join(counts, ", "),
		})
	}
	return o.list(rows, "no ports")
}

// Violations writes a line for each violation, as it is at a time.
func (o *Output) Violations(violations []api.Violation, now time.Time) error {
	rows := [][]string{{"NETWORK", "PORT", "MAC", "ADDRESS", "OWNER", "REASON", "ACTION", "FRAMES", "FIRST", "LAST"}}
	for _, v := range violations {
		address, owner := "", ""
		if v.Address.IsValid() {
			address = v.Address.String()
		}
		if v.Owner != nil {
			owner = strings.TrimSpace(v.Owner.MAC + " " + v.Owner.Name)
		}
		rows = append(rows, []string{
			v.Network, v.Port, v.MAC, address, owner, v.Reason, v.Action, strconv.FormatUint(v.Count, 10),
			age(now, v.First) + " ago", age(now, v.Last) + " ago",
		})
	}
	return o.list(rows, "no violations")
}

// Bindings writes a line for each binding.
func (o *Output) Bindings(bindings []api.Binding) error {
	rows := [][]string{{"NETWORK", "ADDRESS", "MAC", "NAME", "PORT", "WRITTEN IN"}}
	for _, b := range bindings {
		address := b.First.String()
		if b.Last != b.First {
			address += "-" + b.Last.String()
		}
		rows = append(rows, []string{b.Network, address, b.MAC, b.Name, b.Port, b.Origin})
	}
	return o.table(rows)
}

// Event writes an event in a line: when, where, tcpdump's words, and what was done and why.
func (o *Output) Event(e api.Event) error {
	at := e.Time.Local().Format("15:04:05.000000")
	if e.Lost > 0 {
		were := "events were"
		if e.Lost == 1 {
			were = "event was"
		}
		_, err := fmt.Fprintf(o.w, "%s %d %s lost: more come than can be shown; filters, such as --reason, leave fewer\n", at, e.Lost, were)
		return err
	}
	action := e.Action
	if e.DryRun {
		action += " (classic: it went on its way)"
	}
	_, err := fmt.Fprintf(o.w, "%s %s %s %s%s: %s %s\n", at, e.Network, e.Port, e.Words, sender(e), action, e.Reason)
	return err
}

// namesSender has the reasons by which it matters from which MAC a frame is, and tcpdump's words don't say so.
var namesSender = map[string]bool{
	responder.UnregisteredSender.String(): true, responder.SpoofedSender.String(): true,
	responder.UnregisteredSource.String(): true, responder.SpoofedSource.String(): true,
	responder.UnregisteredMAC.String(): true,
}

// sender writes the source of an event's frame, where it matters, as explain reads it.
func sender(e api.Event) string {
	const sourceAt = 6
	if !namesSender[e.Reason] || len(e.Frame) < sourceAt+len(responder.MAC{}) {
		return ""
	}
	return " from " + responder.MAC(e.Frame[sourceAt:][:len(responder.MAC{})]).String()
}
