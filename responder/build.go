package responder

import (
	"cmp"
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
		b.problems = append(b.problems, &BindingError{Binding: binding, Problem: fmt.Sprintf("the bindings name more than %d ports", maxPorts)})
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
	problems := append(b.problems, r.conflicts()...)
	if len(problems) > 0 {
		return nil, problems
	}
	r.trie = newTrie(r.segments())
	return r, nil
}

// byAddress orders records by first address, then by where they were written, so that of two that conflict
// the later one is reported.
func byAddress(x, y record) int {
	return cmp.Or(cmp.Compare(x.first, y.first), cmp.Compare(x.file, y.file), cmp.Compare(x.line, y.line))
}

// conflicts reports every binding that shares addresses with one of the same size before it: neither is the
// narrower one, so which of them answers would be a matter of luck.
func (r *Registry) conflicts() BindingErrors {
	var found BindingErrors
	previous := map[ipv4]record{} // by size; of one size, the last to start is the last to end
	for _, rec := range r.bindings {
		p, ok := previous[rec.size()]
		if ok && p.last >= rec.first {
			found = append(found, r.conflict(rec, p))
		}
		if !ok || rec.last > p.last {
			previous[rec.size()] = rec
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
	if with := e.With.Origin; with != (Origin{}) {
		e.Problem += fmt.Sprintf(" (see %s)", with)
	}
	return e
}

// size is how many addresses the record has, less one.
func (rec record) size() ipv4 { return rec.last - rec.first }

// segments cuts the bindings, which may lie in each other, into disjoint runs of addresses, each with the
// narrowest binding that has them. It sweeps over the addresses and keeps the bindings that have begun but
// not ended.
func (r *Registry) segments() []segment {
	cut := make([]segment, 0, len(r.bindings))
	var open []uint32 // indexes into r.bindings, the narrowest last
	at, next := uint64(0), 0
	for next < len(r.bindings) || len(open) > 0 {
		if len(open) == 0 {
			at = uint64(r.bindings[next].first)
		}
		for ; next < len(r.bindings) && uint64(r.bindings[next].first) == at; next++ {
			open = r.insertBySize(open, uint32(next))
		}
		for len(open) > 0 && uint64(r.bindings[open[len(open)-1]].last) < at {
			open = open[:len(open)-1]
		}
		if len(open) == 0 {
			continue
		}
		i := open[len(open)-1]
		rec := &r.bindings[i]
		end := uint64(rec.last) + 1
		if next < len(r.bindings) {
			end = min(end, uint64(r.bindings[next].first))
		}
		cut = append(cut, segment{ipv4(at), ipv4(end - 1), leaf{rec.owner, i}})
		at = end
	}
	return cut
}

func (r *Registry) insertBySize(open []uint32, i uint32) []uint32 {
	size := r.bindings[i].size()
	at := len(open)
	for at > 0 && r.bindings[open[at-1]].size() < size {
		at--
	}
	return slices.Insert(open, at, i)
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
