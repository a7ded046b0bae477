package violation

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
)

const (
	// MaxNewLines is the number of log lines a second for new violations.
	MaxNewLines = 50

	// MaxNewLinesOfPort is the number of these lines for one port.
	MaxNewLinesOfPort = 5

	// MaxSummaryLines is the number of violations that one summary lists: first the most frequent one of each port,
	// then the second of each port, and so on.
	MaxSummaryLines = 50
)

// A limit limits log lines a second.
type limit struct {
	second time.Duration // start of the current second, by Table.clock
	taken  int           // number of lines in this second
}

// take takes one line if fewer than most were taken in this second.
func (l *limit) take(at time.Duration, most int) bool {
	if at-l.second >= time.Second {
		l.second, l.taken = at, 0
	}
	if l.taken == most {
		return false
	}
	l.taken++
	return true
}

// takeLine takes a line for a new violation of a port, if the limits allow it. With the first line of a second, it
// returns the number of lines that the limits suppressed before.
func (t *Table) takeLine(s *share, at time.Duration) (allowed bool, suppressed uint64) {
	if !s.lines.take(at, MaxNewLinesOfPort) || !t.lines.take(at, MaxNewLines) {
		t.suppressed++
		return false, 0
	}
	if t.lines.taken == 1 {
		suppressed = t.takeSuppressed()
	}
	return true, suppressed
}

// takeSuppressed returns the number of lines that were suppressed since its last call.
func (t *Table) takeSuppressed() uint64 {
	suppressed := t.suppressed
	t.suppressed = 0
	return suppressed
}

// A summary is one line of Summarise.
type summary struct {
	Violation
	owner        registry.Binding
	since, total uint64 // frames since the last line, and in total
	rank         int    // number of violations on its port with more frames
}

// Summarise logs the violations that have continued since they were last logged, with their numbers of frames. Call it
// about once a minute.
func (t *Table) Summarise() {
	t.mu.Lock()
	suppressed := t.takeSuppressed()
	summaries := t.summaries()
	forgotten := t.forgotten - t.reported
	t.reported = t.forgotten
	t.mu.Unlock() // before logging, which may block

	t.logSuppressed(suppressed)
	sortByRank(summaries)
	listed := min(len(summaries), MaxSummaryLines)
	for _, s := range summaries[:listed] {
		t.logViolation(s.Violation, s.owner, slog.Uint64("frames", s.since), slog.Uint64("total", s.total))
	}
	t.logRest(summaries[listed:], forgotten)
}

// summaries returns the violations with frames that no line has reported, and marks them as reported.
func (t *Table) summaries() []summary {
	var all []summary
	for _, element := range t.entries {
		e := element.Value.(*entry)
		if since := e.count - e.logged; since > 0 {
			all = append(all, summary{Violation: e.Violation, owner: e.owner, since: since, total: e.count})
			e.logged = e.count
		}
	}
	return all
}

// sortByRank sorts by rank on the port, then by frames, the most first. So each port's first violation comes before any
// port's second.
func sortByRank(all []summary) {
	slices.SortFunc(all, func(a, b summary) int {
		return cmp.Or(cmp.Compare(b.since, a.since), a.compare(&b.Violation))
	})
	ranks := map[port]int{}
	for i := range all {
		p := port{all[i].Network, all[i].Port}
		all[i].rank = ranks[p]
		ranks[p]++
	}
	slices.SortStableFunc(all, func(a, b summary) int { return cmp.Compare(a.rank, b.rank) })
}

// logViolation logs where the guest is, and the owner of the identity that it uses.
func (t *Table) logViolation(v Violation, owner registry.Binding, more ...slog.Attr) {
	attrs := []slog.Attr{
		slog.String("network", v.Network), slog.String("port", v.Port), slog.String("mac", v.MAC.String()),
	}
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if address := v.Claimed(); address.IsValid() {
		add("address", address.String())
	}
	if v.Target.IsValid() && v.Target != v.Claimed() {
		add("target", v.Target.String())
	}
	if owner != (registry.Binding{}) {
		add("owner", owner.MAC.String())
		add("owner_name", owner.Name)
		add("owner_port", owner.Port)
		add("binding", owner.Origin.String())
	}
	add("action", v.Action.String())
	add("reason", v.Reason.String())
	t.log.LogAttrs(context.Background(), slog.LevelWarn, messages[v.Reason], append(attrs, more...)...)
}

// logSuppressed logs the number of new violations that were not logged.
func (t *Table) logSuppressed(n uint64) {
	if n > 0 {
		t.log.Warn("too many new violations to log them all; list them with: arpfabric violations", "not_logged", n)
	}
}

// logRest logs the number of violations that a summary does not list, and of records that were forgotten before it.
func (t *Table) logRest(rest []summary, forgotten uint64) {
	if len(rest) == 0 && forgotten == 0 {
		return
	}
	var frames uint64
	for _, s := range rest {
		frames += s.since
	}
	t.log.Warn("more violations than one summary lists", "violations", len(rest), "frames", frames, "forgotten", forgotten)
}
