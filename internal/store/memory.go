package store

// Memory is a [Store] that forgets everything when the process ends. It is for tests.
type Memory struct {
	table   *Table
	history []Change

	Fail error // if not nil, Commit fails with it
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{table: NewTable()} }

// Table implements [Store].
func (m *Memory) Table() *Table { return m.table }

// Commit implements [Store].
func (m *Memory) Commit(changes []Change) error {
	if m.Fail != nil {
		return m.Fail
	}
	for i := range changes {
		changes[i].Revision = m.table.revision + 1
		m.table.Apply(changes[i])
	}
	m.history = append(m.history, changes...)
	return nil
}

// Maintain implements [Store].
func (m *Memory) Maintain() error { return nil }

// History implements [Store].
func (m *Memory) History(q HistoryQuery) ([]Change, error) {
	var found []Change
	for _, c := range m.history {
		if q.matches(c) {
			found = append(found, c)
		}
	}
	return found[max(0, len(found)-q.Limit):], nil
}

// Close implements [Store].
func (m *Memory) Close() error { return nil }
