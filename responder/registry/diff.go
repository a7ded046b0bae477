package registry

import (
	"cmp"
	"iter"
	"slices"
)

// A Difference holds two registries, and the addresses at which they differ.
type Difference struct {
	before, after *Registry
	changed       []interval // where owners differ, or the ends of runs may; in order, disjoint
}

// An interval holds the addresses from first to last, both included.
type interval struct{ first, last IPv4 }

// Diff finds the addresses whose owner, a MAC with its port, differs between two registries. It ignores names and
// origins. If the registries share most of their blocks, as after [Registry.Edit], the time depends on the number of
// changes.
func Diff(before, after *Registry) Difference {
	d := Difference{before: before, after: after}
	switch {
	case before == after, before.Len()+after.Len() == 0:
	// Everything differs: one interval is enough, and noting each address would take long.
	case before.Len() == 0 || after.Len() == 0:
		d.changed = []interval{{0, maxIPv4}}
	default:
		d.compareSingles()
		d.compareRanges()
		d.changed = widen(d.changed)
	}
	return d
}

// IsEmpty reports whether every address has the same owner and the same candidates in both registries, and every owner the
// same routes, and whether the same MACs are bound alone.
func (d Difference) IsEmpty() bool {
	for range d.ListedMACs() {
		return false
	}
	return len(d.changed) == 0 && d.before.hasSameRoutes(d.after)
}

// Removed yields the runs of the first registry, as [Registry.Owners] does, that the second one does not have: there the
// addresses have another owner, are in a run with other ends, or are not bound.
func (d Difference) Removed() iter.Seq[Binding] { return d.before.bindings(d.removed()) }

// Added yields the runs of the second registry that the first one does not have.
func (d Difference) Added() iter.Seq[Binding] { return d.after.bindings(d.added()) }

// Moved yields the addresses that have different MACs in the two registries. It yields them as runs of the second
// registry, cut to neighbouring addresses that have one MAC in the first.
func (d Difference) Moved() iter.Seq[Binding] {
	return func(yield func(Binding) bool) {
		for _, i := range d.changed {
			for was := range d.before.runs(i.first, i.last) {
				for is := range d.after.runs(max(i.first, was.first), min(i.last, was.last)) {
					if is.owner.MAC == was.owner.MAC {
						continue
					}
					is.first, is.last = max(is.first, was.first, i.first), min(is.last, was.last, i.last)
					if !yield(d.after.binding(is)) {
						return
					}
				}
			}
		}
	}
}

func (d Difference) removed() iter.Seq[run] { return d.without(d.before, d.after) }
func (d Difference) added() iter.Seq[run]   { return d.without(d.after, d.before) }

// without yields the runs of r that other does not have, each once.
func (d Difference) without(r, other *Registry) iter.Seq[run] {
	return func(yield func(run) bool) {
		next := IPv4(0)
		for _, i := range d.changed {
			for u := range r.runs(i.first, i.last) {
				if u.first < next { // it was in the interval before, too
					continue
				}
				next = u.last + 1
				if !other.hasRun(u, r) && !yield(u) {
					return
				}
			}
		}
	}
}

// hasRun reports whether r has the same run as u, a run of another registry.
func (r *Registry) hasRun(u run, of *Registry) bool {
	same, ok := r.runAt(u.first)
	return ok && same.first == u.first && same.last == u.last && r.isSameOwner(same.owner, u.owner, of)
}

// isSameOwner reports whether o in r and p in another registry are the same owner. Ports have different numbers in
// different registries, so their names are compared.
func (r *Registry) isSameOwner(o, p Owner, of *Registry) bool {
	return o.MAC == p.MAC && r.ports.at(uint32(o.port)) == of.ports.at(uint32(p.port))
}

// compareSingles notes the addresses whose bindings of one address differ, or exist in one registry only.
func (d *Difference) compareSingles() {
	before, after := d.before.single.blocks, d.after.single.blocks
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].number < after[0].number:
			d.noteBlock(before[0])
			before = before[1:]
		case len(before) == 0 || after[0].number < before[0].number:
			d.noteBlock(after[0])
			after = after[1:]
		default:
			d.compareBlocks(before[0], after[0])
			before, after = before[1:], after[1:]
		}
	}
}

func (d *Difference) noteBlock(b *block) {
	for ip := range b.all() {
		d.note(interval{ip, ip})
	}
}

// compareBlocks compares two blocks with the same number. Registries share the blocks that an edit did not change.
func (d *Difference) compareBlocks(before, after *block) {
	if before == after {
		return
	}
	for ip, i := range before.all() {
		j, ok := after.find(ip)
		if !ok || !d.after.isSameOwner(after.owners[j], before.owners[i], d.before) {
			d.note(interval{ip, ip})
		}
	}
	for ip := range after.all() {
		if _, ok := before.find(ip); !ok {
			d.note(interval{ip, ip})
		}
	}
}

// compareRanges notes the runs of ranges that only one registry has. It ignores the bindings of one address that cut
// these runs; without compares the pieces.
func (d *Difference) compareRanges() {
	before, after := &d.before.ranges, &d.after.ranges
	if isSameArray(before.runs, after.runs) {
		return // the usual case: an edit that changes no range shares them
	}
	d.noteRuns(before, d.before, after, d.after)
	d.noteRuns(after, d.after, before, d.before)
}

func (d *Difference) noteRuns(in *ranges, r *Registry, other *ranges, otherRegistry *Registry) {
	rest := other.runs
	for _, s := range in.runs {
		for len(rest) > 0 && rest[0].first < s.first {
			rest = rest[1:]
		}
		same := len(rest) > 0 && rest[0].first == s.first && rest[0].last == s.last &&
			r.isSameOwner(in.bindings[s.index].owner, other.bindings[rest[0].index].owner, otherRegistry)
		if !same {
			d.note(interval{s.first, s.last})
		}
	}
}

// note appends an interval. It extends the last one if i follows it, because there may be millions of neighbours.
func (d *Difference) note(i interval) {
	if n := len(d.changed); n > 0 && d.changed[n-1].last+1 == i.first {
		d.changed[n-1].last = i.last
		return
	}
	d.changed = append(d.changed, i)
}

// widen sorts intervals, extends each by one address on both sides, and merges those that overlap. The extension is
// needed because a binding that is added or removed within a range changes the ends of the runs next to it.
func widen(list []interval) []interval {
	slices.SortFunc(list, func(a, b interval) int { return cmp.Compare(a.first, b.first) })
	out := list[:0]
	for _, i := range list {
		i.first, i.last = i.first-1, i.last+1 // no overflow: neither the lowest nor the highest address can be bound
		if n := len(out); n > 0 && i.first <= out[n-1].last {
			out[n-1].last = max(out[n-1].last, i.last)
			continue
		}
		out = append(out, i)
	}
	return out
}
