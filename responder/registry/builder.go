package registry

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// BindingError is the reason why a binding cannot be in a registry.
type BindingError struct {
	Binding Binding
	With    *Binding // the binding that it conflicts with; nil if it is invalid by itself
	Problem string
}

// Error returns "origin: binding: problem".
func (e *BindingError) Error() string {
	where := e.Binding.Origin.String()
	if where != "" {
		where += ": "
	}
	return where + e.Binding.String() + ": " + e.Problem
}

// BindingErrors are all the errors in a set of bindings, in no particular order.
type BindingErrors []*BindingError

// Error returns the errors, one a line.
func (es BindingErrors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// New returns a registry of bindings, which may come in any order. Its errors are those of [Builder.Build].
func New(bindings iter.Seq[Binding]) (*Registry, error) {
	var b Builder
	for binding := range bindings {
		b.Add(binding)
	}
	return b.Build()
}

// A Builder collects bindings, from any number of sources, and makes a registry of them. The zero Builder is ready to
// use.
type Builder struct {
	before         *Registry // the registry that is edited; nil for a new one
	ports, sources interner
	singles        map[IPv4]*batch    // the content of new and changed blocks, by the block's number
	ranges         *rangeBatch        // nil if no range is added or removed
	extras         map[interval]extra // nil if no extra is added or removed
	alones         *alones            // nil if no binding of a MAC alone is added or removed
	listed         listedChange
	problems       BindingErrors
}

// Add adds a binding. Bindings may be added in any order. An invalid one is reported by [Builder.Build].
func (b *Builder) Add(binding Binding) {
	if problem := b.check(binding); problem != "" {
		b.addProblem(binding, problem)
		return
	}
	if binding.IsAlone() {
		b.addAlone(binding)
		return
	}
	if binding.First != binding.Last {
		rec := b.record(binding)
		b.rangeBatch().add(rec, binding.Name)
		b.addExtra(binding, rec.owner)
		return
	}
	s := b.single(binding)
	b.addExtra(binding, s.owner)
	b.batch(s.ip).add(s, binding.Name)
}

func (b *Builder) addProblem(binding Binding, problem string) {
	b.problems = append(b.problems, &BindingError{Binding: binding, Problem: problem})
}

// batch returns the content of the block that ip is in.
func (b *Builder) batch(ip IPv4) *batch {
	number := ip >> blockBits
	if singles, ok := b.singles[number]; ok {
		return singles
	}
	singles := &batch{}
	if b.before != nil {
		if at, found := findBlock(b.before.single.blocks, number); found {
			singles = b.before.single.blocks[at].batch()
		}
	}
	if b.singles == nil {
		b.singles = map[IPv4]*batch{}
	}
	b.singles[number] = singles
	return singles
}

// rangeBatch returns the content of the ranges.
func (b *Builder) rangeBatch() *rangeBatch {
	switch {
	case b.ranges != nil:
	case b.before != nil:
		b.ranges = b.before.ranges.batch()
	default:
		b.ranges = &rangeBatch{}
	}
	return b.ranges
}

// Build returns a registry of the added bindings. If bindings are invalid (not IPv4, not an address that a host can have,
// not a unicast MAC) or conflict (an address bound twice, two ranges of the same size that overlap), it returns no
// registry and a [BindingErrors] with all of them. The Builder must not be used afterwards.
func (b *Builder) Build() (*Registry, error) {
	before := b.before
	if before == nil {
		before = &Registry{}
	}
	blocks := b.mergeBlocks(before.single.blocks)
	if b.ranges != nil {
		b.problems = append(b.problems, b.sortRanges(b.ranges)...)
	}
	alones := b.buildAlones(before)
	if len(b.problems) > 0 {
		return nil, b.problems
	}
	r := &Registry{nameTables: b.nameTables(), single: before.single.withBlocks(blocks), ranges: before.ranges, alones: alones}
	if b.ranges != nil {
		r.ranges = newRanges(b.ranges)
	}
	r.extras, r.routes, r.routesTo = b.buildExtras(before), before.routes, before.routesTo
	if !isSameArray(r.extras, before.extras) || !isSameArray(r.alones, before.alones) {
		r.routes = newRoutes(r)
		r.routesTo = r.routes.onAnyPort()
	}
	if b.before == nil {
		r.namesWhenBuilt = len(r.ports) + len(r.sources)
		r.senders = newSenders(ownersOf(r.runs(0, maxIPv4), b.listed.added))
		return r, nil
	}
	// The senders are counted by runs, not by bindings, because a binding may cut the runs of others or hide them. Diff
	// finds these runs, and does not need the new senders.
	d := Diff(before, r)
	r.namesWhenBuilt = before.namesWhenBuilt
	r.senders = before.senders.edited(ownersOf(d.removed(), b.listed.removed), ownersOf(d.added(), b.listed.added))
	return r, nil
}

// mergeBlocks returns the blocks of a registry, with new ones made of the batches in their places.
func (b *Builder) mergeBlocks(rest []*block) []*block {
	merged := make([]*block, 0, len(rest)+len(b.singles))
	for _, number := range slices.Sorted(maps.Keys(b.singles)) {
		at, found := findBlock(rest, number)
		merged = append(merged, rest[:at]...)
		if rest = rest[at:]; found {
			rest = rest[1:]
		}
		singles := b.singles[number]
		delete(b.singles, number) // frees the batch, so that a large registry is not in memory twice
		b.problems = append(b.problems, b.sort(singles)...)
		if len(singles.list) > 0 && len(b.problems) == 0 {
			merged = append(merged, newBlock(singles))
		}
	}
	return append(merged, rest...)
}

// check describes why a binding cannot be in the registry, regardless of other bindings. It returns "" if it can.
func (b *Builder) check(binding Binding) string {
	if problem := binding.check(); problem != "" {
		return problem
	}
	switch {
	case !b.ports.hasRoom(binding.Port):
		return fmt.Sprintf("the bindings name more than %d ports", maxNames)
	case !b.sources.hasRoom(binding.Origin.Source):
		return fmt.Sprintf("the bindings come from more than %d sources", maxNames)
	}
	return ""
}

func (b *Builder) nameTables() nameTables { return nameTables{b.ports.names, b.sources.names} }

func (b *Builder) owner(binding Binding) Owner {
	return Owner{binding.MAC, b.ports.number(binding.Port)}
}

func (b *Builder) single(binding Binding) single {
	return single{
		ip: IPv4Of(binding.First), owner: b.owner(binding), isAdded: true,
		line: uint32(binding.Origin.Line), source: b.sources.number(binding.Origin.Source),
	}
}

func (b *Builder) record(binding Binding) record {
	return record{
		first: IPv4Of(binding.First), last: IPv4Of(binding.Last), owner: b.owner(binding), isAdded: true,
		line: uint32(binding.Origin.Line), source: b.sources.number(binding.Origin.Source),
	}
}

// sort sorts a batch without what was removed, and reports each binding of an address that an earlier binding has.
func (b *Builder) sort(singles *batch) BindingErrors {
	singles.list = slices.DeleteFunc(singles.list, func(s single) bool { return s.isRemoved })
	list, tables := singles.list, b.nameTables()
	slices.SortStableFunc(list, single.compare)
	var found BindingErrors
	first := 0
	for i := range list {
		if list[i].ip != list[first].ip {
			first = i
		}
		if i != first {
			with := tables.singleBinding(list[first], singles.texts)
			found = append(found, conflict(tables.singleBinding(list[i], singles.texts), with, "the address is bound twice"))
		}
	}
	return found
}

// sortRanges sorts ranges, and reports each one that overlaps an earlier one of the same size: neither is narrower, so
// neither wins.
func (b *Builder) sortRanges(ranges *rangeBatch) BindingErrors {
	tables := b.nameTables()
	slices.SortStableFunc(ranges.list, record.compare)
	var found BindingErrors
	before := map[IPv4]*record{} // by size: the range that ends last, which of one size is the one that starts last
	for i := range ranges.list {
		rec := &ranges.list[i]
		other := before[rec.size()]
		if other != nil && other.last >= rec.first {
			problem := fmt.Sprintf("overlaps %s-%s, which is of the same size, so neither wins", other.first, other.last)
			with := tables.rangeBinding(other, ranges.texts)
			found = append(found, conflict(tables.rangeBinding(rec, ranges.texts), with, problem))
		}
		if other == nil || other.last < rec.last {
			before[rec.size()] = rec
		}
	}
	return found
}

func conflict(b, with Binding, problem string) *BindingError {
	if with.Origin != (Origin{}) {
		problem += fmt.Sprintf(" (see %s)", with.Origin)
	}
	return &BindingError{b, &with, problem}
}

// maxNames is the highest number of different ports, and of different sources, in a registry: numbers have 16 bits, and 0
// is the empty name.
const maxNames = 1<<16 - 1

// An interner numbers different strings: the empty one is 0, the others count from 1 in the order of their first use.
type interner struct {
	names    names
	numbers  map[string]uint16 // nil as long as names has been searched a few times only
	searches int
}

func (s *interner) hasRoom(text string) bool {
	_, known := s.lookup(text)
	return known || len(s.names) < maxNames
}

func (s *interner) number(text string) uint16 {
	n, known := s.lookup(text)
	if !known {
		s.names = append(s.names, text)
		n = uint16(len(s.names))
		if s.numbers != nil {
			s.numbers[text] = n
		}
	}
	return n
}

func (s *interner) lookup(text string) (n uint16, known bool) {
	const maxSearches = 16 // a small edit of a large registry is not to make a map of all its names
	if text == "" {
		return 0, true
	}
	if s.numbers == nil && s.searches < maxSearches {
		s.searches++
		i := slices.Index(s.names, text)
		return uint16(i + 1), i >= 0
	}
	if s.numbers == nil {
		s.numbers = make(map[string]uint16, len(s.names))
		for i, name := range s.names {
			s.numbers[name] = uint16(i + 1)
		}
	}
	n, known = s.numbers[text]
	return n, known
}
