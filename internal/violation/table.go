package violation

import (
	"container/list"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// MaxRecords is the number of records that a table keeps. A new record replaces the oldest record of the port that has
// the most.
const MaxRecords = 4096

// Record is a table's record of one violation.
type Record struct {
	Violation

	// Owner is the binding of the address that was used, when the violation was last seen; the zero Binding if there was
	// none.
	Owner registry.Binding

	// First and Last are the times at which it was seen, by the machine's clock as it is now. They change only if that is
	// set.
	First, Last time.Time

	Count uint64 // number of frames
}

// Table keeps records of violations. It is safe for concurrent use.
type Table struct {
	log *slog.Logger

	mu        sync.Mutex
	clock     clock
	entries   map[Violation]*list.Element
	ports     map[port]*share
	shares    shares
	changes   uint64
	forgotten uint64
	reported  uint64 // the value of forgotten at the last summary
	lines     limit

	suppressed uint64 // lines of new violations that were suppressed and not reported
}

// An entry is a record in the table.
type entry struct {
	Violation
	share       *share
	owner       registry.Binding
	first, last time.Duration // by Table.clock
	count       uint64
	logged      uint64 // the value of count in the last line
}

// New returns an empty table that logs to log. now is time.Now, except in tests.
func New(log *slog.Logger, now func() time.Time) *Table {
	return &Table{
		log: log, clock: newClock(now), entries: map[Violation]*list.Element{}, ports: map[port]*share{},
	}
}

// Add counts a frame. It logs a new violation, within the limits for lines of its port and of all ports. registry is the
// network's, to find the owner of the address. Add does not allocate for a violation that the table has.
func (t *Table) Add(v Violation, registry *registry.Registry) {
	owner, _ := registry.Lookup(v.Claimed())
	t.mu.Lock()
	at := t.clock.read()
	known := t.entries[v]
	if known == nil {
		known = t.insert(v, at)
	}
	e := known.Value.(*entry)
	e.share.recent.MoveToFront(known)
	e.owner, e.last = owner, at
	e.count++
	t.changes++
	if e.count > 1 {
		t.mu.Unlock()
		return
	}
	allowed, suppressed := t.takeLine(e.share, at)
	if allowed {
		e.logged = 1
	}
	t.mu.Unlock() // before logging, which may block
	t.logSuppressed(suppressed)
	if allowed {
		t.logViolation(v, owner)
	}
}

// insert adds an entry for v, which replaces another one if the table is full.
func (t *Table) insert(v Violation, at time.Duration) *list.Element {
	s := t.shareOf(v)
	element := t.newElement(s)
	*element.Value.(*entry) = entry{Violation: v, share: s, first: at}
	t.entries[v] = element
	return element
}

// All returns the records in the order of network, port and violation.
func (t *Table) All() []Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clock.read()
	timeOf := t.clock.times()
	all := make([]Record, 0, len(t.entries))
	for _, element := range t.entries {
		e := element.Value.(*entry)
		all = append(all, Record{
			Violation: e.Violation, Owner: e.owner, First: timeOf(e.first), Last: timeOf(e.last), Count: e.count,
		})
	}
	slices.SortFunc(all, func(a, b Record) int { return a.compare(&b.Violation) })
	return all
}

// Clear removes the records that match, and returns their number. A violation that continues is then a new one.
func (t *Table) Clear(match func(Record) bool) int {
	n := 0
	for _, r := range t.All() {
		if match(r) && t.remove(r.Violation) {
			n++
		}
	}
	return n
}

// remove reports whether there was a record of v.
func (t *Table) remove(v Violation) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	element := t.entries[v]
	if element == nil {
		return false
	}
	s := element.Value.(*entry).share
	s.recent.Remove(element)
	delete(t.entries, v)
	t.resized(s)
	t.changes++
	return true
}

// Restore adds records of an earlier table that this one does not have. It logs nothing about them.
func (t *Table) Restore(records []Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortFunc(records, func(a, b Record) int { return a.Last.Compare(b.Last) })
	records = records[max(0, len(records)-MaxRecords):]
	now := t.clock.read()
	elapsedAt := func(seen time.Time) time.Duration { return min(now, t.clock.elapsedAt(seen)) }
	for _, r := range records {
		if t.entries[r.Violation] != nil {
			continue
		}
		e := t.insert(r.Violation, elapsedAt(r.First)).Value.(*entry)
		e.owner, e.last, e.count, e.logged = r.Owner, elapsedAt(r.Last), r.Count, r.Count
	}
}

// Changes returns a number that grows with each change of the records, except by Restore.
func (t *Table) Changes() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changes
}

// Len returns the number of records.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries)
}

// Forgotten returns the number of records that were replaced by others.
func (t *Table) Forgotten() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.forgotten
}
