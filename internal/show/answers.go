package show

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
)

// Status writes the state of a fabric, with ages as of now.
func (o *Output) Status(s api.Status, now time.Time) error {
	c := s.Configuration
	fmt.Fprintf(o.w, "arpfabric %s, process %d, up %s\n", s.Version, s.PID, age(now, s.Started))
	fmt.Fprintf(o.w, "configuration %d, loaded %s ago from %s\n", c.Generation, age(now, c.Loaded), strings.Join(c.Files, ", "))
	if c.LastError != "" {
		fmt.Fprintf(o.w, "the last reload failed %s ago; the previous configuration is in force:\n", age(now, *c.FailedAt))
		for line := range strings.Lines(c.LastError) {
			fmt.Fprintf(o.w, "  %s\n", strings.TrimRight(line, "\n"))
		}
	}
	if err := o.needRestart(c); err != nil {
		return err
	}
	if s.Datapath.InForce != "" { // a fabric of an earlier version has none
		fmt.Fprintln(o.w, datapath(s.Datapath))
	}
	if s.Store != nil {
		o.store(*s.Store, now)
	}
	if s.Page != nil && s.Page.URL != "" {
		fmt.Fprintf(o.w, "page %s\n", s.Page.URL)
	}
	io.WriteString(o.w, "\n")
	rows := [][]string{{"NETWORK", "MODE", "ATTACHED TO", "GUARD", "BINDINGS", "PORTS"}}
	for _, n := range s.Networks {
		guard := n.Guard
		if n.WaitsFor != "" {
			guard = "waits"
		}
		rows = append(rows, []string{n.Name, n.Mode, n.Attach, guard, strconv.Itoa(n.Bindings), strconv.Itoa(n.Ports)})
	}
	if err := o.table(rows); err != nil {
		return err
	}
	if err := o.sources(s, now); err != nil {
		return err
	}
	for _, problem := range s.Problems {
		if strings.HasPrefix(problem, api.ReloadFailed) {
			continue // above, with all mistakes
		}
		if err := o.Line(problem); err != nil {
			return err
		}
	}
	io.WriteString(o.w, "\n")
	if err := o.list(reasons(s), "no frames yet"); err != nil {
		return err
	}
	return o.counters(s)
}

// sources writes a table of the sources, if there are any, with ages as of now.
func (o *Output) sources(s api.Status, now time.Time) error {
	rows := [][]string{{"NETWORK", "SOURCE", "OF", "BINDINGS", "STATE"}}
	for _, n := range s.Networks {
		for _, one := range n.Sources {
			rows = append(rows, []string{n.Name, string(one.Kind), one.Of, strconv.Itoa(one.Bindings), sourceState(one, now)})
		}
	}
	if len(rows) == 1 {
		return nil
	}
	io.WriteString(o.w, "\n")
	return o.table(rows)
}

// sourceState tells in few words whether a source works.
func sourceState(s api.SourceState, now time.Time) string {
	switch {
	case s.Read == nil:
		return "never read"
	case s.Error == "":
		return "read " + age(now, *s.Read) + " ago"
	}
	return "fails for " + age(now, *s.FailedAt) + ", read " + age(now, *s.Read) + " ago"
}

func (o *Output) store(s api.Store, now time.Time) {
	e := s.Etcd
	if e == nil {
		fmt.Fprintf(o.w, "store %s, allocations: %d\n", s.Folder, s.Allocations)
		return
	}
	fmt.Fprintf(o.w, "store %s in etcd at %s, allocations: %d\n", e.Prefix, strings.Join(e.Endpoints, ", "), s.Allocations)
	switch {
	case e.Error == "":
	case e.Current == nil:
		fmt.Fprintf(o.w, "etcd cannot be used, and what it has is not known: %s\n", e.Error)
	default:
		fmt.Fprintf(o.w, "etcd cannot be used; the allocations are those that it had %s ago: %s\n", age(now, *e.Current), e.Error)
	}
}

// datapath returns "datapath kernel" and what its program has, or "datapath user: " and the reason why it is not kernel.
func datapath(d api.Datapath) string {
	switch {
	case d.Why != "":
		return fmt.Sprintf("datapath %s: %s", d.InForce, d.Why)
	case d.Program == nil:
		return "datapath " + d.InForce
	}
	var bytes uint64
	for _, m := range d.Program.Maps {
		bytes += m.Bytes
	}
	text := fmt.Sprintf("datapath %s: an eBPF program on %d ports, whose maps use %.1f MB", d.InForce, d.Program.Ports, float64(bytes)/1e6)
	for _, why := range d.Program.Detours {
		text += "\n  frames between guests cross the bridge: " + why
	}
	for _, why := range d.Program.LeftToFabric {
		text += "\n  arpfabric answers some requests itself: " + why
	}
	return text
}

// Health writes the problems, or "ok" if there is none.
func (o *Output) Health(s api.Status) error {
	if len(s.Problems) == 0 {
		return o.Line("ok")
	}
	return o.Line(strings.Join(s.Problems, "\n"))
}

// Reloaded writes which configuration is in force after a reload.
func (o *Output) Reloaded(c api.Configuration) error {
	fmt.Fprintf(o.w, "configuration %d is in force, from %s\n", c.Generation, strings.Join(c.Files, ", "))
	return o.needRestart(c)
}

// needRestart writes which part of a configuration is not in force.
func (o *Output) needRestart(c api.Configuration) error {
	if len(c.NeedRestart) == 0 {
		return nil
	}
	return o.Line("changes of " + strings.Join(c.NeedRestart, ", ") + " take effect at the next start")
}

// reasons returns the rows of a table, the most frequent reason first.
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

// counters writes a line for each kind of problem that has occurred.
func (o *Output) counters(s api.Status) error {
	separator := "\n" // one empty line before the first
	for _, problem := range []struct {
		words string
		count uint64
	}{
		{"violations ('arpfabric violations' lists them)", uint64(s.Violations.Records)},
		{"guard reinstalled because another program had changed it", s.Guard.Reinstalled},
		{"failed reloads", s.Configuration.Failures},
		{"losses of frames that arpfabric did not read in time", s.Losses.Frames},
		{"losses of kernel messages, after which arpfabric read the whole state again", s.Losses.Events},
	} {
		if problem.count == 0 {
			continue
		}
		if _, err := fmt.Fprintf(o.w, "%s%s: %d\n", separator, problem.words, problem.count); err != nil {
			return err
		}
		separator = ""
	}
	return nil
}

// Ago returns how long ago a time was: "3h12m ago".
func Ago(now, then time.Time) string { return age(now, then) + " ago" }

// age returns the time from then to now in at most two units, such as "3h12m".
func age(now, then time.Time) string {
	d := max(0, now.Sub(then)) // the clock may have been set back
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

// Ports writes a line for each port, with ages as of now.
func (o *Output) Ports(ports []api.Port, now time.Time) error {
	rows := [][]string{{"NETWORK", "PORT", "KIND", "MACS", "ADDRESSES", "NAMES", "SEEN", "REFUSED", "REASONS"}}
	for _, p := range ports {
		seen := ""
		if p.LastSeen != nil {
			seen = Ago(now, *p.LastSeen)
		}
		macs, addresses, names := Behind(p)
		rows = append(rows, []string{
			p.Network, p.Name, string(p.Kind), macs, addresses, names, seen, strconv.FormatUint(p.Refused, 10), Counts(p.Reasons),
		})
	}
	return o.list(withoutEmptyColumns(rows, "MACS", "ADDRESSES", "NAMES"), "no ports")
}

// Behind describes what is behind a port: MACs, addresses and names, or their number if there are many.
func Behind(p api.Port) (macs, addresses, names string) {
	var allMACs, allAddresses, allNames []string
	for _, m := range p.MACs {
		allMACs = append(allMACs, m.MAC)
		allAddresses = append(allAddresses, m.Addresses...)
		if m.Name != "" {
			allNames = append(allNames, m.Name)
		}
	}
	if len(p.MACs) == api.MaxPortMACs {
		return fmt.Sprintf("%d or more", len(p.MACs)), "", ""
	}
	return few(allMACs), few(allAddresses), few(allNames)
}

// few lists words, or returns their number if there are many.
func few(words []string) string {
	const most = 2
	if len(words) > most {
		return strconv.Itoa(len(words))
	}
	return strings.Join(words, ", ")
}

// Violations writes a line for each violation, with ages as of now.
func (o *Output) Violations(violations []api.Violation, now time.Time) error {
	rows := [][]string{{"NETWORK", "PORT", "MAC", "ADDRESS", "OWNER", "TARGET", "REASON", "ACTION", "FRAMES", "FIRST", "LAST"}}
	for _, v := range violations {
		owner := ""
		if v.Owner != nil {
			owner = strings.TrimSpace(v.Owner.MAC + " " + v.Owner.Name)
		}
		rows = append(rows, []string{
			v.Network, v.Port, v.MAC, text(v.Address), owner, text(v.Target), v.Reason, v.Action, strconv.FormatUint(v.Count, 10),
			Ago(now, v.First), Ago(now, v.Last),
		})
	}
	return o.list(rows, "no violations")
}

// text returns an address, or "" if there is none.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Bindings writes a line for each binding, with ages as of now. It has columns for locations, for the MACs between which
// addresses move, and for routes, only if there are some.
func (o *Output) Bindings(bindings []api.Binding, now time.Time) error {
	rows := [][]string{{"NETWORK", "ADDRESS", "MAC", "NAME", "PORT", "LOCATION", "WRITTEN IN", "MOVES BETWEEN", "ROUTES"}}
	for _, b := range bindings {
		location := ""
		if l := b.Location; l != nil {
			location = fmt.Sprintf("%s for %s (%s)", l.Port, age(now, l.Since), l.From)
		}
		rows = append(rows, []string{
			b.Network, addressesOf(b), b.MAC, b.Name, b.Port, location, b.Origin, strings.Join(b.MACs, ", "), strings.Join(b.Routes, ", "),
		})
	}
	return o.table(withoutEmptyColumns(rows, "LOCATION", "MOVES BETWEEN", "ROUTES"))
}

// addressesOf returns the addresses of a binding, or "" for a binding of a MAC alone.
func addressesOf(b api.Binding) string {
	switch {
	case !b.First.IsValid():
		return ""
	case b.First == b.Last:
		return b.First.String()
	}
	return b.First.String() + "-" + b.Last.String()
}

// withoutEmptyColumns returns a table without those of the named columns in which all cells are empty.
func withoutEmptyColumns(rows [][]string, names ...string) [][]string {
	for _, name := range names {
		column := slices.Index(rows[0], name)
		isUsed := func(row []string) bool { return row[column] != "" }
		if !slices.ContainsFunc(rows[1:], isUsed) {
			for i := range rows {
				rows[i] = slices.Delete(rows[i], column, column+1)
			}
		}
	}
	return rows
}
