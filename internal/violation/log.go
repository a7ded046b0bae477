package violation

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/responder"
)

const (
	// MaxNewLines is how many violations a second are logged when they are seen for the first time.
	MaxNewLines = 50

	// MaxNewLinesOfPort is how many of them may be from one port.
	MaxNewLinesOfPort = 5

	// MaxSummaryLines is how many violations one summary has a line for: of each port the one with the most frames,
	// then of each port the next, until there are so many.
	MaxSummaryLines = 50
)

// A limit allows some lines a second.
type limit struct {
	second time.Duration // when the present one began, by Table.clock
	taken  int           // in this second
}

// take asks for one of so many lines a second.
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

// takeLine asks for a line for a new violation of a port. With the first line of a second, it returns how many were
// missed until then.
func (t *Table) takeLine(s *share, at time.Duration) (allowed bool, missed uint64) {
	if !s.lines.take(at, MaxNewLinesOfPort) || !t.lines.take(at, MaxNewLines) {
		t.missed++
		return false, 0
	}
	if t.lines.taken == 1 {
		missed = t.tellMissed()
	}
	return true, missed
}

// tellMissed returns how many were missed since it was last called.
func (t *Table) tellMissed() uint64 {
	missed := t.missed
	t.missed = 0
	return missed
}

// A summary is what one line of Summarise says.
type summary struct {
	Violation
	owner        responder.Binding
	since, total uint64 // frames since the last line, and since the first
	turn         int    // how many of its port have more frames
}

// Summarise logs the violations that have gone on since they were last logged, with how many frames it were.
// It is to be called once a minute or so.
func (t *Table) Summarise() {
	t.mu.Lock()
	missed := t.tellMissed()
	summaries := t.summaries()
	forgotten := t.forgotten - t.told
	t.told = t.forgotten
	t.mu.Unlock()

	t.logMissed(missed)
	sortInTurn(summaries)
	listed := min(len(summaries), MaxSummaryLines)
	for _, s := range summaries[:listed] {
		t.logViolation(s.Violation, s.owner, slog.Uint64("frames", s.since), slog.Uint64("total", s.total))
	}
	t.logRest(summaries[listed:], forgotten)
}

// summaries returns what no line has told of yet, as told.
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

// sortInTurn sorts by frames, the most first, but that each port has its turn before any has another.
func sortInTurn(all []summary) {
	slices.SortFunc(all, func(a, b summary) int {
		return cmp.Or(cmp.Compare(b.since, a.since), a.compare(&b.Violation))
	})
	turns := map[port]int{}
	for i := range all {
		p := port{all[i].Network, all[i].Port}
		all[i].turn = turns[p]
		turns[p]++
	}
	slices.SortStableFunc(all, func(a, b summary) int { return cmp.Compare(a.turn, b.turn) })
}

// logViolation logs what an operator needs to find the guest, and whose identity it uses.
func (t *Table) logViolation(v Violation, owner responder.Binding, more ...slog.Attr) {
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
	if owner != (responder.Binding{}) {
		add("owner", owner.MAC.String())
		add("owner_name", owner.Name)
		add("owner_port", owner.Port)
		add("binding", owner.Origin.String())
	}
	add("action", v.Action.String())
	add("reason", v.Reason.String())
	t.log.LogAttrs(context.Background(), slog.LevelWarn, words[v.Reason], append(attrs, more...)...)
}

// logMissed says how many violations have had no line of their own when they were new.
func (t *Table) logMissed(n uint64) {
	if n > 0 {
		t.log.Warn("more new violations than are logged in a second", "not_logged", n)
	}
}

// logRest sums up the violations that a summary has no line for, and those that were forgotten before it.
func (t *Table) logRest(rest []summary, forgotten uint64) {
	if len(rest) == 0 && forgotten == 0 {
		return
	}
	var frames uint64
	for _, s := range rest {
		frames += s.since
	}
	t.log.Warn("more violations than are listed", "violations", len(rest), "frames", frames, "forgotten", forgotten)
}
