package top

import (
	"math"
	"slices"

	tea "charm.land/bubbletea/v2"
)

// press handles a key.
func (m Model) press(k tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	switch {
	case k.String() == "ctrl+c":
		return m, tea.Quit
	case m.isTyping:
		return m.typed(k).withSelection(0), nil
	case m.detail != nil:
		return m.pressInDetail(k.String())
	}
	switch k.String() {
	case "q":
		return m, tea.Quit
	case "up", "k":
		return m.withSelection(-1), nil
	case "down", "j":
		return m.withSelection(1), nil
	case "pgup":
		return m.withSelection(-m.tableHeight()), nil
	case "pgdown":
		return m.withSelection(m.tableHeight()), nil
	case "home":
		return m.withSelection(math.MinInt32), nil
	case "end":
		return m.withSelection(math.MaxInt32), nil
	case "s":
		m.order = (m.order + 1) % numColumns
	case "/":
		m.isTyping = true
	case "esc":
		m.filter = ""
		return m.withSelection(0), nil
	case "enter":
		return m.explainSelected()
	}
	return m, nil
}

// typed changes the filter by a key.
func (m Model) typed(k tea.KeyPressMsg) Model {
	switch k.String() {
	case "enter":
		m.isTyping = false
	case "esc":
		m.isTyping, m.filter = false, ""
	case "backspace":
		if text := []rune(m.filter); len(text) > 0 {
			m.filter = string(text[:len(text)-1])
		}
	default:
		m.filter += k.Text
	}
	return m
}

func (m Model) pressInDetail(key string) (tea.Model, tea.Cmd) {
	d := *m.detail
	switch key {
	case "q", "esc", "enter":
		m.detail = nil
		return m, nil
	case "up", "k":
		d.top--
	case "down", "j":
		d.top++
	}
	d.top = max(0, min(d.top, len(d.lines)-1))
	m.detail = &d
	return m, nil
}

// explainSelected opens the explanation of the selected row.
func (m Model) explainSelected() (tea.Model, tea.Cmd) {
	rows := m.shown()
	at := slices.IndexFunc(rows, func(r row) bool { return keyOf(r.Port) == m.selected })
	if at < 0 {
		return m, nil
	}
	r := rows[at]
	m.detail = &detail{port: m.selected, lines: []string{"asking the fabric ..."}}
	return m, func() tea.Msg { return explained{m.detailOf(r)} }
}
