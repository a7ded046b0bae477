package registry

import "iter"

// ListedMACs yields the MACs for which the registries differ by more than the addresses that they own: by bindings of MACs
// alone, by routes, and by addresses that they may hold. A MAC may be yielded several times, or although it does not differ.
func (d Difference) ListedMACs() iter.Seq[MAC] {
	return func(yield func(MAC) bool) {
		isSameAlone := func(a, b alone) bool { return d.after.isSameOwner(b.owner, a.owner, d.before) }
		for a := range differing(d.before.alones, d.after.alones, alone.compareMAC, isSameAlone) {
			if !yield(a.owner.MAC) {
				return
			}
		}
		isSameExtra := func(a, b extra) bool {
			return d.after.isSameOwner(b.owner, a.owner, d.before) && a.candidates == b.candidates
		}
		compareExtra := func(a, b extra) int { return a.compare(b.interval) }
		for e := range differing(d.before.extras, d.after.extras, compareExtra, isSameExtra) {
			for _, o := range e.listed() {
				if !yield(o.MAC) {
					return
				}
			}
		}
	}
}

// differing yields the elements of two sorted lists that are in one only, and both of those that are not the same in both.
func differing[T any](before, after []T, compare func(T, T) int, isSame func(before, after T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		if isSameArray(before, after) {
			return // the usual case: an edit that changes none shares them
		}
		for len(before) > 0 || len(after) > 0 {
			switch {
			case len(after) == 0 || len(before) > 0 && compare(before[0], after[0]) < 0:
				if !yield(before[0]) {
					return
				}
				before = before[1:]
			case len(before) == 0 || compare(before[0], after[0]) > 0:
				if !yield(after[0]) {
					return
				}
				after = after[1:]
			default:
				if !isSame(before[0], after[0]) && !(yield(before[0]) && yield(after[0])) {
					return
				}
				before, after = before[1:], after[1:]
			}
		}
	}
}
