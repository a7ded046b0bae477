package violation

import (
	"container/list"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/responder"
)

// MaxRecords is how many records a table keeps. Room for a new one is made by the port that has the most: of its
// records, the one seen longest ago.
const MaxRecords = 4096

// Record is what a table knows of one violation.
type Record struct {
	Violation

	// Owner is the binding of the address that the violation is about, when it was last seen; the zero Binding
	// where there was none.
	Owner responder.Binding

	// First and Last are when it was seen, by the clock as it is set now: time that the clock was set forward or
	// back by in between doesn't count.
	First, Last time.Time

	Count uint64 // of frames
}

// Table keeps violations. It may be used from several goroutines at once.
type Table struct {
	log *slog.Logger

	mu        sync.Mutex
	clock     clock
	entries   map[Violation]*list.Element
	ports     map[port]*share
	shares    shares
	forgotten uint64
	told      uint64 // of forgotten, how many a summary has told of
	lines     limit
	missed    uint64 // new violations that had no line and have not been told of
}

// An entry is a record as the table keeps it.
type entry struct {
	Violation
	share       *share
	owner       responder.Binding
	first, last time.Duration // by Table.clock
	count       uint64
	logged      uint64 // of count, how many a line has told of
}

// New makes an empty table that logs to log. now is time.Now, but for tests.
func New(log *slog.Logger, now func() time.Time) *Table {
	return &Table{
		log: log, clock: newClock(now), entries: map[Violation]*list.Element{}, ports: map[port]*share{},
	}
}

// Add counts a frame, and logs the first of its kind, unless there are too many kinds in this second, from its port
// or from all. registry is that of the network, to tell whose identity it is. Add allocates nothing for a violation
// that the table has.
func (t *Table) Add(v Violation, registry *responder.Registry) {
	owner, _ := registry.Lookup(v.Claimed())
	t.mu.Lock()
	at := t.clock.read()
	known := t.entries[v]
	if known == nil {
		known = t.enter(v, at)
	}
	e := known.Value.(*entry)
	e.share.recent.MoveToFront(known)
	e.owner, e.last = owner, at
	e.count++
	if e.count > 1 {
		t.mu.Unlock()
		return
	}
	allowed, missed := t.takeLine(e.share, at)
	if allowed {
		e.logged = 1
	}
	t.mu.Unlock()
	t.logMissed(missed)
	if allowed {
		t.logViolation(v, owner)
	}
}

// enter makes an entry for v, in the place of another if the table is full.
func (t *Table) enter(v Violation, at time.Duration) *list.Element {
	s := t.shareOf(v)
	element := t.room(s)
	*element.Value.(*entry) = entry{Violation: v, share: s, first: at}
	t.entries[v] = element
	return element
}

// All returns the records, by network, port, and what they are.
func (t *Table) All() []Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.clock.read()
	all := make([]Record, 0, len(t.entries))
	for _, element := range t.entries {
		e := element.Value.(*entry)
		all = append(all, Record{
			Violation: e.Violation,
			Owner:     e.owner,
			First:     t.clock.latest.Add(e.first - at),
			Last:      t.clock.latest.Add(e.last - at),
			Count:     e.count,
		})
	}
	slices.SortFunc(all, func(a, b Record) int { return a.compare(&b.Violation) })
	return all
}

// Len returns how many records there are.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries)
}

// Forgotten returns how many records have made room for others.
func (t *Table) Forgotten() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.forgotten
}
