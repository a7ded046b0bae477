package registry

import "slices"

// Edit returns a registry with some bindings removed and others added. It does not change r, and shares the unchanged
// part with it. A binding to remove is found by its addresses, one of a MAC alone by its MAC. To change a binding, remove it and add the new one in
// the same call.
//
// The time depends on the number of changes, and hardly on the number of bindings. If a change is to a range, all
// ranges are compiled again. If changes are invalid or conflict, Edit returns no registry and a [BindingErrors] with
// all of them.
func (r *Registry) Edit(remove, add []Binding) (*Registry, error) {
	if r.hasManyUnusedNames(len(add)) {
		if renumbered, err := New(r.All()); err == nil {
			r = renumbered
		}
	}
	b := &Builder{
		before:  r,
		ports:   interner{names: slices.Clip(r.ports)}, // clipped, so that append copies the names that r shares
		sources: interner{names: slices.Clip(r.sources)},
	}
	// Removals come first, so that a binding can be replaced by one of the same addresses.
	for _, binding := range remove {
		b.remove(binding)
	}
	for _, binding := range add {
		b.Add(binding)
	}
	return b.Build()
}

// hasManyUnusedNames reports whether the names of ports and sources may be mostly such that no binding has any more, or
// leave no room for some more: edits add names and remove none.
func (r *Registry) hasManyUnusedNames(more int) bool {
	const few = 1024
	return len(r.ports)+len(r.sources) > 2*r.namesWhenBuilt+few ||
		len(r.ports)+more > maxNames || len(r.sources)+more > maxNames
}

// remove removes the binding with the addresses of another one.
func (b *Builder) remove(binding Binding) {
	if binding.IsAlone() {
		if !b.removeAlone(binding.MAC) {
			b.addProblem(binding, "no binding of this MAC alone")
		}
		return
	}
	if problem := binding.checkAddresses(); problem != "" {
		b.addProblem(binding, problem)
		return
	}
	first, last := IPv4Of(binding.First), IPv4Of(binding.Last)
	found := false
	if first == last {
		found = b.batch(first).remove(first)
	} else {
		found = b.rangeBatch().remove(first, last)
	}
	b.removeExtra(interval{first, last})
	if !found {
		b.addProblem(binding, "no binding has exactly the addresses "+binding.Addresses())
	}
}
