package registry

import (
	"cmp"
	"maps"
	"slices"
)

// An extra is the part of a binding that few bindings have. Extras are kept in a table of their own, so that all other
// bindings stay small and quick to find.
type extra struct {
	interval   // the binding's addresses
	owner      Owner
	candidates MACs
	routes     Prefixes
}

// listed returns the owners that the binding registers, whether it has an address for them or not.
func (e extra) listed() []Owner {
	list := []Owner{e.owner}
	for mac := range e.candidates.All() {
		if mac != e.owner.MAC {
			list = append(list, Owner{mac, e.owner.port})
		}
	}
	return list
}

// extras are sorted by the bindings' addresses.
type extras []extra

// of returns the extra of the binding with these addresses; the zero extra if it has none.
func (e extras) of(addresses interval) extra {
	if at, found := slices.BinarySearchFunc(e, addresses, extra.compare); found {
		return e[at]
	}
	return extra{}
}

func (e extra) compare(addresses interval) int {
	return cmp.Or(cmp.Compare(e.first, addresses.first), cmp.Compare(e.last, addresses.last))
}

// complete returns a binding, as decoded from the other tables, with its extra.
func (r *Registry) complete(b Binding) Binding {
	if len(r.extras) > 0 {
		e := r.extras.of(b.interval())
		b.Candidates, b.Routes = e.candidates, e.routes
	}
	return b
}

// addExtra keeps the extra of a binding, if it has one.
func (b *Builder) addExtra(binding Binding, owner Owner) {
	if binding.Candidates.IsEmpty() && binding.Routes.IsEmpty() {
		return
	}
	e := extra{binding.interval(), owner, binding.Candidates, binding.Routes}
	b.extraBatch()[e.interval] = e
	b.listed.added = append(b.listed.added, e.listed()...)
}

// removeExtra removes the extra of the binding with these addresses, if it has one.
func (b *Builder) removeExtra(addresses interval) {
	if e := b.before.extras.of(addresses); e != (extra{}) {
		delete(b.extraBatch(), addresses)
		b.listed.removed = append(b.listed.removed, e.listed()...)
	}
}

// extraBatch returns the extras, by the bindings' addresses.
func (b *Builder) extraBatch() map[interval]extra {
	if b.extras == nil {
		b.extras = map[interval]extra{}
		if b.before != nil {
			for _, e := range b.before.extras {
				b.extras[e.interval] = e
			}
		}
	}
	return b.extras
}

// buildExtras returns the table of the extras, and shares it with the registry that is edited if no extra changes.
func (b *Builder) buildExtras(before *Registry) extras {
	if b.extras == nil {
		return before.extras
	}
	return slices.SortedFunc(maps.Values(b.extras), func(e, other extra) int { return e.compare(other.interval) })
}
