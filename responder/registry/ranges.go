package registry

import (
	"cmp"
	"container/heap"
	"iter"
	"slices"
	"sort"
)

// ranges are the bindings of more than one address, and the look-up structures compiled from them.
type ranges struct {
	bindings []record  // by first address
	texts    names     // the names in bindings
	runs     []segment // disjoint, by address, each with its narrowest binding
	trie     trie      // finds the run of an address
	owners   []Owner   // of the leaves of the trie
}

// A record is a binding of a range.
type record struct {
	first, last IPv4
	owner       Owner
	line        uint32
	name        uint32 // number in ranges.texts
	source      uint16 // number in Registry.sources
	isAdded     bool   // by the Builder that has it, and not in the registry that it edits
}

// A rangeBatch collects ranges for a registry.
type rangeBatch struct {
	list  []record
	texts names // the names in list
}

func (t *rangeBatch) add(rec record, name string) {
	rec.name = t.texts.add(name)
	t.list = append(t.list, rec)
}

// remove removes the range with these addresses, and reports whether there was one.
func (t *rangeBatch) remove(first, last IPv4) bool {
	i := slices.IndexFunc(t.list, func(rec record) bool { return rec.first == first && rec.last == last })
	if i < 0 {
		return false
	}
	t.list = slices.Delete(t.list, i, i+1)
	return true
}

// newRanges compiles ranges, which must be sorted and without conflicts.
func newRanges(batch *rangeBatch) ranges {
	bindings := slices.Clip(batch.list)
	r := ranges{bindings: bindings}
	for i := range bindings {
		bindings[i].name = r.texts.add(batch.texts.at(bindings[i].name)) // only the names that are still in use
		bindings[i].isAdded = false
	}
	r.runs = slices.AppendSeq(make([]segment, 0, len(bindings)), r.sweep())
	r.trie = newTrie(r.runs)
	r.owners = make([]Owner, len(r.trie.leaves))
	for leaf, i := range r.trie.leaves {
		r.owners[leaf] = bindings[i].owner
	}
	return r
}

// record returns the narrowest range that has ip, or nil.
func (r *ranges) record(ip IPv4) *record {
	leaf := r.trie.find(ip)
	if leaf < 0 {
		return nil
	}
	return &r.bindings[r.trie.leaves[leaf]]
}

// runsFrom returns the runs that end at ip or later.
func (r *ranges) runsFrom(ip IPv4) []segment {
	return r.runs[sort.Search(len(r.runs), func(i int) bool { return r.runs[i].last >= ip }):]
}

// batch returns a copy of the ranges that can be changed.
func (r *ranges) batch() *rangeBatch {
	return &rangeBatch{list: slices.Clone(r.bindings), texts: slices.Clip(r.texts)}
}

// compare orders ranges by first address, the widest first, then added ones last, then by origin, so that the later of two
// ranges in conflict is reported.
func (rec record) compare(other record) int {
	return cmp.Or(cmp.Compare(rec.first, other.first), cmp.Compare(other.last, rec.last), compareAdded(rec.isAdded, other.isAdded),
		cmp.Compare(rec.source, other.source), cmp.Compare(rec.line, other.line))
}

// compareAdded orders what an edit adds behind what was there.
func compareAdded(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// size returns the number of addresses less one. (The number itself may not fit into 32 bits.)
func (rec *record) size() IPv4 { return rec.last - rec.first }

// sweep yields disjoint runs of addresses, as long as possible, each with the narrowest binding that has them. Bindings
// may be nested or overlap. sweep goes through the addresses in order, and keeps the bindings that have begun in a
// heap.
func (r *ranges) sweep() iter.Seq[segment] {
	return func(yield func(segment) bool) {
		// The heap may hold bindings that have ended. They are removed when they become the narrowest.
		begun := &narrowestFirst{bindings: r.bindings}
		next := 0
		for at := IPv4(0); next < len(r.bindings) || begun.Len() > 0; {
			if begun.Len() == 0 {
				at = r.bindings[next].first
			}
			for ; next < len(r.bindings) && r.bindings[next].first == at; next++ {
				heap.Push(begun, uint32(next))
			}
			i := begun.indexes[0]
			narrowest := &r.bindings[i]
			if narrowest.last < at {
				heap.Pop(begun)
				continue
			}
			// A wider binding that begins within the narrowest does not end its run, and is only remembered.
			for ; next < len(r.bindings) && narrowest.winsOver(&r.bindings[next]); next++ {
				heap.Push(begun, uint32(next))
			}
			last := narrowest.last
			if next < len(r.bindings) {
				last = min(last, r.bindings[next].first-1)
			}
			if !yield(segment{at, last, i}) {
				return
			}
			at = last + 1 // no overflow: nothing above 223.255.255.255 can be bound
		}
	}
}

// winsOver reports whether other, which begins later, overlaps rec and is wider.
func (rec *record) winsOver(other *record) bool {
	return other.first <= rec.last && other.size() > rec.size()
}

// narrowestFirst is a heap of bindings, ordered by size.
type narrowestFirst struct {
	bindings []record
	indexes  []uint32
}

func (h *narrowestFirst) Len() int      { return len(h.indexes) }
func (h *narrowestFirst) Swap(i, j int) { h.indexes[i], h.indexes[j] = h.indexes[j], h.indexes[i] }
func (h *narrowestFirst) Push(x any)    { h.indexes = append(h.indexes, x.(uint32)) }

func (h *narrowestFirst) Less(i, j int) bool {
	return h.bindings[h.indexes[i]].size() < h.bindings[h.indexes[j]].size()
}

func (h *narrowestFirst) Pop() any {
	last := len(h.indexes) - 1
	popped := h.indexes[last]
	h.indexes = h.indexes[:last]
	return popped
}
