package top

import (
	"cmp"
	"strconv"
	"time"

	"github.com/arpfabric/arpfabric/internal/show"
)

// A column is one by which the table can be sorted.
type column int

const (
	byPort column = iota
	bySeen
	byFrames
	byRefused
	byViolations

	numColumns
)

// columns are the headings of the columns, and how they sort: the highest first, except names.
var columns = [numColumns]struct {
	heading string
	compare func(a, b row) int
}{
	byPort:       {"PORT", func(a, b row) int { return cmp.Or(cmp.Compare(a.Network, b.Network), cmp.Compare(a.Name, b.Name)) }},
	bySeen:       {"SEEN", func(a, b row) int { return lastSeen(b).Compare(lastSeen(a)) }},
	byFrames:     {"FRAMES/S", func(a, b row) int { return cmp.Compare(b.frames, a.frames) }},
	byRefused:    {"REFUSED/S", func(a, b row) int { return cmp.Compare(b.refused, a.refused) }},
	byViolations: {"VIOLATIONS", func(a, b row) int { return cmp.Compare(b.violations, a.violations) }},
}

// lastSeen returns the zero time for a port that was never seen.
func lastSeen(r row) (t time.Time) {
	if r.LastSeen != nil {
		t = *r.LastSeen
	}
	return t
}

// heading returns the heading of a column, with a mark if the table is sorted by it.
func (m Model) heading(c column) string {
	if c == m.order {
		return columns[c].heading + "*"
	}
	return columns[c].heading
}

// cells returns the table: the heading, and the rows. It names networks only if there are several.
func (m Model) cells(rows []row) [][]string {
	table := [][]string{{
		"NETWORK", m.heading(byPort), "KIND", "ADDRESSES", "NAMES", m.heading(bySeen), m.heading(byFrames), m.heading(byRefused),
		m.heading(byViolations), "REASONS",
	}}
	for _, r := range rows {
		_, addresses, names := show.Behind(r.Port)
		seen := ""
		if r.LastSeen != nil {
			seen = show.Ago(m.last.at, *r.LastSeen)
		}
		table = append(table, []string{
			r.Network, r.Name, string(r.Kind), addresses, names, seen, perSecond(r.frames), perSecond(r.refused),
			strconv.Itoa(r.violations), show.Counts(r.Reasons),
		})
	}
	if len(m.last.status.Networks) < 2 {
		for i := range table {
			table[i] = table[i][1:]
		}
	}
	return table
}

// perSecond prints a rate: exact below 10, so that a slow guest is not at 0.
func perSecond(rate float64) string {
	if rate > 0 && rate < 10 {
		return strconv.FormatFloat(rate, 'f', 1, 64)
	}
	return strconv.FormatFloat(rate, 'f', 0, 64)
}
