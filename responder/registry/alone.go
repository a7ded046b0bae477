package registry

import (
	"cmp"
	"slices"
)

// An alone is a binding of a MAC alone, without an address: of a guest that has only IPv6, for example.
type alone struct {
	owner   Owner
	line    uint32
	source  uint16 // number in Registry.sources
	isAdded bool   // by the Builder that has it, and not in the registry that it edits
	name    string
	routes  Prefixes
}

// alones are sorted by MAC, and have each MAC once.
type alones []alone

// index returns the place of a MAC's binding.
func (list alones) index(mac MAC) (int, bool) {
	return slices.BinarySearchFunc(list, alone{owner: Owner{MAC: mac}}, alone.compareMAC)
}

func (a alone) compareMAC(other alone) int { return slices.Compare(a.owner.MAC[:], other.owner.MAC[:]) }

// compare orders bindings by MAC, then added ones last, then by origin, so that the later of two is reported.
func (a alone) compare(other alone) int {
	return cmp.Or(a.compareMAC(other), compareAdded(a.isAdded, other.isAdded),
		cmp.Compare(a.source, other.source), cmp.Compare(a.line, other.line))
}

// LookupAlone returns the binding of mac alone, if there is one. mac may own addresses by other bindings.
func (r *Registry) LookupAlone(mac MAC) (Binding, bool) {
	at, found := r.alones.index(mac)
	if !found {
		return Binding{}, false
	}
	return r.aloneBinding(r.alones[at]), true
}

func (t nameTables) aloneBinding(a alone) Binding {
	return Binding{
		MAC: a.owner.MAC, Port: t.ports.at(uint32(a.owner.port)), Name: a.name, Routes: a.routes,
		Origin: Origin{t.sources.at(uint32(a.source)), int(a.line)},
	}
}

func (b *Builder) addAlone(binding Binding) {
	a := alone{
		owner: b.owner(binding), name: binding.Name, routes: binding.Routes, isAdded: true,
		line: uint32(binding.Origin.Line), source: b.sources.number(binding.Origin.Source),
	}
	*b.aloneBatch() = append(*b.aloneBatch(), a)
	b.listed.added = append(b.listed.added, a.owner)
}

// removeAlone removes the binding of a MAC alone, of those that the registry had, and reports whether there was one.
func (b *Builder) removeAlone(mac MAC) bool {
	list := b.aloneBatch()
	at, found := list.index(mac)
	if found {
		b.listed.removed = append(b.listed.removed, (*list)[at].owner)
		*list = slices.Delete(*list, at, at+1)
	}
	return found
}

// aloneBatch returns the bindings of MACs alone.
func (b *Builder) aloneBatch() *alones {
	if b.alones == nil {
		b.alones = &alones{}
		if b.before != nil {
			*b.alones = slices.Clone(b.before.alones)
		}
	}
	return b.alones
}

// buildAlones returns the bindings of MACs alone, shares them with the registry that is edited if none changes, and
// reports each binding of a MAC that an earlier one has.
func (b *Builder) buildAlones(before *Registry) alones {
	if b.alones == nil {
		return before.alones
	}
	list, tables := *b.alones, b.nameTables()
	slices.SortStableFunc(list, alone.compare)
	first := 0
	for i := range list {
		if list[i].owner.MAC != list[first].owner.MAC {
			first = i
		}
		if i != first {
			problem := conflict(tables.aloneBinding(list[i]), tables.aloneBinding(list[first]), "the MAC is bound alone twice")
			b.problems = append(b.problems, problem)
		}
	}
	for i := range list {
		list[i].isAdded = false
	}
	return slices.Clip(list)
}
