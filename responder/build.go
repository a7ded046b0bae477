package responder

import (
	"cmp"
	"container/heap"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// BindingError says why a binding can't be in a registry.
type BindingError struct {
	Binding Binding
	With    *Binding // the binding it conflicts with; nil where it is wrong in itself
	Problem string
}

// Error says which binding it is, where it comes from, and what is wrong.
func (e *BindingError) Error() string {
	where := e.Binding.Origin.String()
	if where != "" {
		where += ": "
	}
	return where + e.Binding.String() + ": " + e.Problem
}

// BindingErrors is everything that keeps a set of bindings from being a registry, in no particular order.
type BindingErrors []*BindingError

// Error lists them, one a line.
func (es BindingErrors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// NewRegistry makes a registry of bindings, in any order. If some are wrong in themselves (not IPv4, not
// the address of a host, not a unicast MAC) or conflict (an address bound twice; two ranges of one size
// that overlap), it returns no registry and a [BindingErrors] with all of them.
func NewRegistry(bindings iter.Seq[Binding]) (*Registry, error) {
	var b builder
	for binding := range bindings {
		b.add(binding)
	}
	return b.build()
}

// maxPorts is how many different ports the bindings of one registry may name.
const maxPorts = 1<<16 - 1

// A builder gathers bindings and everything that is wrong with them.
type builder struct {
	records             chunks
	ports, names, files interner
	problems            BindingErrors
}

func (b *builder) add(binding Binding) {
	if wrong := binding.check(); wrong != "" {
		b.problems = append(b.problems, &BindingError{Binding: binding, Problem: wrong})
		return
	}
	port := b.ports.number(binding.Port)
	if port > maxPorts {
		problem := fmt.Sprintf("the bindings name more than %d ports", maxPorts)
		b.problems = append(b.problems, &BindingError{Binding: binding, Problem: problem})
		return
	}
	b.records.add(record{
		first: toIPv4(binding.First),
		last:  toIPv4(binding.Last),
		owner: owner{mac: binding.MAC, port: uint16(port)},
		line:  uint32(binding.Origin.Line),
		name:  b.names.number(binding.Name),
		file:  b.files.number(binding.Origin.File),
	})
}

func (b *builder) build() (*Registry, error) {
	r := &Registry{
		bindings: b.records.join(),
		ports:    b.ports.strings(),
		names:    b.names.strings(),
		files:    b.files.strings(),
	}
	slices.SortFunc(r.bindings, byAddress)
	if problems := append(b.problems, r.conflicts()...); len(problems) > 0 {
		return nil, problems
	}
	r.trie = newTrie(slices.AppendSeq(make([]segment, 0, len(r.bindings)), r.segments()))
	r.owners = make([]owner, len(r.trie.leaves))
	for leaf, i := range r.trie.leaves {
		r.owners[leaf] = r.bindings[i].owner
	}
	r.users = newUsers(r.owners)
	return r, nil
}

// byAddress orders records by first address, the widest first, then by where they were written, so that of
// two that conflict the later one is reported.
func byAddress(x, y record) int {
	return cmp.Or(cmp.Compare(x.first, y.first), cmp.Compare(y.last, x.last),
		cmp.Compare(x.file, y.file), cmp.Compare(x.line, y.line))
}

// size is how many addresses the record has, less one.
func (rec *record) size() ipv4 { return rec.last - rec.first }

// conflicts reports every binding that shares addresses with one of the same size before it: neither is the
// narrower one, so which of them answers would be a matter of luck.
func (r *Registry) conflicts() BindingErrors {
	var found BindingErrors
	before := map[ipv4]record{} // by size; of one size, the last to start is the last to end
	for _, rec := range r.bindings {
		b, ok := before[rec.size()]
		if ok && b.last >= rec.first {
			found = append(found, r.conflict(rec, b))
		}
		if !ok || b.last < rec.last {
			before[rec.size()] = rec
		}
	}
	return found
}

func (r *Registry) conflict(rec, with record) *BindingError {
	e := &BindingError{Binding: r.binding(rec), With: new(r.binding(with))}
	if rec.first == rec.last {
		e.Problem = "the address is bound twice"
	} else {
		e.Problem = fmt.Sprintf("it overlaps %s-%s, which is as wide, so neither wins", with.first, with.last)
	}
	if e.With.Origin != (Origin{}) {
		e.Problem += fmt.Sprintf(" (see %s)", e.With.Origin)
	}
	return e
}

// segments cuts the bindings, which may lie in each other, into disjoint runs of addresses, as long as they can
// be, each with the narrowest binding that has them. It sweeps over the addresses with the bindings that have
// begun in hand.
func (r *Registry) segments() iter.Seq[segment] {
	return func(yield func(segment) bool) {
		begun := &narrowestFirst{bindings: r.bindings}
		next := 0
		for at := ipv4(0); next < len(r.bindings) || begun.Len() > 0; {
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
			for ; next < len(r.bindings) && narrowest.goesOnIn(&r.bindings[next]); next++ {
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

// goesOnIn reports whether rec keeps its addresses where other, which begins later, overlaps it.
func (rec *record) goesOnIn(other *record) bool {
	return other.first <= rec.last && other.size() > rec.size()
}

// narrowestFirst is a heap of bindings, by size.
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

// An interner gives each different string a number: 0 to the empty one, the others in order.
type interner struct {
	list    []string
	numbers map[string]uint32
}

func (s *interner) number(text string) uint32 {
	if text == "" {
		return 0
	}
	n, ok := s.numbers[text]
	if !ok {
		if s.numbers == nil {
			s.numbers = map[string]uint32{}
		}
		s.list = append(s.list, text)
		n = uint32(len(s.list))
		s.numbers[text] = n
	}
	return n
}

func (s *interner) strings() []string { return append([]string{""}, s.list...) }

// chunks gathers records of unknown number without the copies, each larger by a half, that append makes.
type chunks struct {
	list  [][]record
	total int
}

func (c *chunks) add(rec record) {
	const size = 1 << 14
	if n := len(c.list); n == 0 || len(c.list[n-1]) == size {
		c.list = append(c.list, make([]record, 0, size))
	}
	last := &c.list[len(c.list)-1]
	*last = append(*last, rec)
	c.total++
}

func (c *chunks) join() []record {
	all := make([]record, 0, c.total)
	for _, chunk := range c.list {
		all = append(all, chunk...)
	}
	return all
}
