package top

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/arpfabric/arpfabric/internal/show"
)

// The styles of a terminal (ECMA-48, select graphic rendition).
const (
	plain   = "\x1b[0m"
	bold    = "\x1b[1m"
	reverse = "\x1b[7m"
	red     = "\x1b[31m"
	yellow  = "\x1b[33m"
)

// View implements [tea.Model].
func (m Model) View() tea.View {
	lines := m.tableLines()
	if m.detail != nil {
		lines = m.detailLines()
	}
	v := tea.NewView(strings.Join(lines, "\n"))
	v.AltScreen = true
	return v
}

// headLines and footLines are above and below the table.
const headLines, footLines = 3, 1

func (m Model) tableHeight() int { return max(1, m.height-headLines-1-footLines) } // 1 for the heading

func (m Model) tableLines() []string {
	rows := m.shown()
	table := strings.Split(strings.TrimRight(show.Align(m.cells(rows)), "\n"), "\n")
	lines := []string{m.cut(m.summary()), m.problem(), "", bold + m.cut(table[0]) + plain}
	first := m.first(rows)
	for i := first; i < len(rows) && i < first+m.tableHeight(); i++ {
		lines = append(lines, m.styled(rows[i], m.cut(table[i+1])))
	}
	if len(rows) == 0 {
		lines = append(lines, "no ports")
	}
	for len(lines) < m.height-footLines {
		lines = append(lines, "")
	}
	return append(lines, m.cut(m.help()))
}

// first returns the first row that is shown, so that the selected one is.
func (m Model) first(rows []row) int {
	for i, r := range rows {
		if keyOf(r.Port) == m.selected {
			return max(0, i-m.tableHeight()+1)
		}
	}
	return 0
}

// styled marks the selected row, and rows with violations or refused frames.
func (m Model) styled(r row, line string) string {
	style := ""
	switch {
	case r.violations > 0:
		style = red
	case r.refused > 0:
		style = yellow
	}
	if keyOf(r.Port) == m.selected {
		style += reverse
	}
	if style == "" {
		return line
	}
	return style + line + plain
}

func (m Model) summary() string {
	if m.last.at.IsZero() {
		return "arpfabric"
	}
	s := m.last.status
	bindings := 0
	for _, n := range s.Networks {
		bindings += n.Bindings
	}
	return fmt.Sprintf("arpfabric %s, networks: %d, bindings: %d, ports: %d, violations: %d",
		s.Version, len(s.Networks), bindings, len(m.last.ports), s.Violations.Records)
}

// problem returns why the table is old, or else what an operator has to repair.
func (m Model) problem() string {
	text := ""
	switch problems := m.last.status.Problems; {
	case m.err != nil:
		text = m.err.Error()
	case len(problems) > 1:
		text = fmt.Sprintf("%s (and more: arpfabric status --check)", problems[0])
	case len(problems) == 1:
		text = problems[0]
	}
	text, _, _ = strings.Cut(text, "\n")
	if text == "" {
		return ""
	}
	return red + m.cut(text) + plain
}

func (m Model) help() string {
	switch {
	case m.isTyping:
		return "filter: " + m.filter + "_   (enter keeps it, esc removes it)"
	case m.filter != "":
		return "filter: " + m.filter + "   (/ changes it, esc removes it)   s sort   enter explain   q quit"
	}
	return "up, down select   enter explain   s sort   / filter   q quit"
}

func (m Model) detailLines() []string {
	d := m.detail
	height := max(1, m.height-footLines)
	var lines []string
	for _, line := range d.lines[d.top:min(len(d.lines), d.top+height)] {
		lines = append(lines, m.cut(line))
	}
	for len(lines) < height {
		lines = append(lines, "")
	}
	return append(lines, m.cut("up, down scroll   esc back"))
}

// cut shortens a line to the width of the terminal.
func (m Model) cut(line string) string {
	if text := []rune(line); len(text) > m.width {
		return string(text[:m.width])
	}
	return line
}
