package violation

import (
	"cmp"
	"container/heap"
	"container/list"
	"time"
)

// A port is a guest's port. It has a share of the records and of the lines, so that one guest cannot hide another's
// violations.
type port struct{ network, name string }

// A share is a port's share of the table.
type share struct {
	port   port
	recent list.List     // of *entry, the most recent first
	since  time.Duration // time of the last change of its number of records, by Table.clock
	index  int           // in shares
	lines  limit
}

// shares is a heap of the shares with records. The share with the most comes first; of equals, the one whose number has
// not changed for longest.
type shares []*share

func (s shares) Len() int { return len(s) }

func (s shares) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(s[j].recent.Len(), s[i].recent.Len()), cmp.Compare(s[i].since, s[j].since)) < 0
}

func (s shares) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push implements [heap.Interface].
func (s *shares) Push(x any) {
	added := x.(*share)
	added.index = len(*s)
	*s = append(*s, added)
}

// Pop implements [heap.Interface].
func (s *shares) Pop() any {
	last := len(*s) - 1
	removed := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return removed
}

// shareOf returns the share of v's port, and makes one if there is none.
func (t *Table) shareOf(v Violation) *share {
	p := port{v.Network, v.Port}
	s := t.ports[p]
	if s == nil {
		s = &share{port: p}
		t.ports[p] = s
		heap.Push(&t.shares, s)
	}
	return s
}

// newElement returns an element for another record in s. If the table is full, it replaces the oldest record of the
// port with the most. If s would then have as many records as that port, s replaces its own oldest instead: two ports
// would only take records from each other.
func (t *Table) newElement(s *share) *list.Element {
	if len(t.entries) == MaxRecords {
		most := t.shares[0]
		if has := s.recent.Len(); has > 0 && most.recent.Len() <= has+1 {
			return t.forgetOldest(s)
		}
		most.recent.Remove(t.forgetOldest(most))
		t.resized(most)
	}
	element := s.recent.PushFront(&entry{share: s})
	t.resized(s)
	return element
}

// forgetOldest removes the oldest record of s from the table, and returns its element.
func (t *Table) forgetOldest(s *share) *list.Element {
	oldest := s.recent.Back()
	delete(t.entries, oldest.Value.(*entry).Violation)
	t.forgotten++
	return oldest
}

// resized restores the heap after the number of records in s has changed. It removes a share without records.
func (t *Table) resized(s *share) {
	s.since = t.clock.elapsed
	if s.recent.Len() == 0 {
		heap.Remove(&t.shares, s.index)
		delete(t.ports, s.port)
		return
	}
	heap.Fix(&t.shares, s.index)
}
