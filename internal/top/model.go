package top

import (
	"context"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
)

// Fabric is what top asks of a running fabric.
type Fabric interface {
	Status(context.Context) (api.Status, error)
	Ports(context.Context) ([]api.Port, error)
	Violations(context.Context, api.ViolationFilter) ([]api.Violation, error)
	LastEvent(context.Context, event.Filter) (api.Event, bool, error)
	Explain(context.Context, explain.Question) (explain.Explanation, error)
}

// Model is the state of the table. It implements [tea.Model].
type Model struct {
	ctx    context.Context
	fabric Fabric
	every  time.Duration

	last sample
	rows []row // of last, with rates
	err  error // of the last question to the fabric

	order    column
	filter   string
	isTyping bool // the filter
	selected key
	detail   *detail // not nil while a row is explained

	width, height int
}

// New returns the Model of a fabric, which is asked at an interval until ctx ends.
func New(ctx context.Context, f Fabric, every time.Duration) Model {
	const width, height = 80, 24 // until the terminal says its size
	return Model{ctx: ctx, fabric: f, every: every, width: width, height: height}
}

// The messages.
type (
	sampled   struct{ sample }
	failed    struct{ err error }
	due       struct{} // the next sample is due
	explained struct{ detail }
)

// Init implements [tea.Model].
func (m Model) Init() tea.Cmd { return m.ask }

// ask gets a sample.
func (m Model) ask() tea.Msg {
	s, err := m.fabric.Status(m.ctx)
	if err != nil {
		return failed{err}
	}
	ports, err := m.fabric.Ports(m.ctx)
	if err != nil {
		return failed{err}
	}
	violations, err := m.fabric.Violations(m.ctx, api.ViolationFilter{})
	if err != nil {
		return failed{err}
	}
	return sampled{sample{time.Now(), s, ports, violations}}
}

// Update implements [tea.Model].
func (m Model) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	wait := tea.Tick(m.every, func(time.Time) tea.Msg { return due{} })
	switch message := message.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = message.Width, message.Height
	case due:
		return m, m.ask
	case failed:
		m.err = message.err
		return m, wait
	case sampled:
		m.rows, m.last, m.err = rowsOf(m.last, message.sample), message.sample, nil
		return m.withSelection(0), wait
	case explained:
		if m.detail != nil && m.detail.port == message.port {
			m.detail = &message.detail
		}
	case tea.KeyPressMsg:
		return m.press(message)
	}
	return m, nil
}

// shown returns the rows that match the filter, in their order.
func (m Model) shown() []row {
	rows := slices.DeleteFunc(slices.Clone(m.rows), func(r row) bool { return !r.has(m.filter) })
	slices.SortStableFunc(rows, columns[m.order].compare)
	return rows
}

// withSelection moves the selection by a number of rows, and keeps it on a row that is shown.
func (m Model) withSelection(by int) Model {
	rows := m.shown()
	if len(rows) == 0 {
		return m
	}
	at := slices.IndexFunc(rows, func(r row) bool { return keyOf(r.Port) == m.selected })
	m.selected = keyOf(rows[min(max(max(at, 0)+by, 0), len(rows)-1)].Port)
	return m
}
