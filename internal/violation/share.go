package violation

import (
	"cmp"
	"container/heap"
	"container/list"
	"time"
)

// A port is where a guest is. It has a share of the records and of the lines, so that one guest can't hide what
// another does.
type port struct{ network, name string }

// A share is what a port has of the table.
type share struct {
	port   port
	recent list.List     // of *entry, the one seen last first
	since  time.Duration // that it has had so many records, by Table.clock
	place  int           // in shares
	lines  limit
}

// shares is a heap of those that have records: the one with the most comes first, of equals the one that has had so
// many for longest.
type shares []*share

func (s shares) Len() int { return len(s) }

func (s shares) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(s[j].recent.Len(), s[i].recent.Len()), cmp.Compare(s[i].since, s[j].since)) < 0
}

func (s shares) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i, j
}

// Push implements [heap.Interface].
func (s *shares) Push(x any) {
	added := x.(*share)
	added.place = len(*s)
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

// shareOf returns the share of the port of v, a new one if it has none.
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

// room returns room for another record in s. If the table is full, the port with the most records gives the one seen
// longest ago. That is the port of s itself if it would have as many then: nothing is won by turns.
func (t *Table) room(s *share) *list.Element {
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

// forgetOldest takes the record of s that was seen longest ago out of the table, and returns where it was.
func (t *Table) forgetOldest(s *share) *list.Element {
	oldest := s.recent.Back()
	delete(t.entries, oldest.Value.(*entry).Violation)
	t.forgotten++
	return oldest
}

// resized puts s where it belongs, now that it has more records or fewer. A port without any has no share.
func (t *Table) resized(s *share) {
	s.since = t.clock.elapsed
	if s.recent.Len() == 0 {
		heap.Remove(&t.shares, s.place)
		delete(t.ports, s.port)
		return
	}
	heap.Fix(&t.shares, s.place)
}
