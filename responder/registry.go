package responder

import (
	"iter"
	"net/netip"
)

// Registry is the immutable set of a network's bindings. A binding of one address wins over a range that
// holds the address too, and a narrower range over a wider one. It may be used from several goroutines at
// once. A million bindings of neighbouring addresses take some 40 MB.
type Registry struct {
	bindings []record // by first address
	trie     trie
	owners   []owner // by leaf of the trie

	ports, names, files []string // what the numbers in records stand for; [0] is ""
}

// owner is what the decision needs of a binding. It is kept apart from the rest, in 8 bytes, because with
// many bindings the time of a decision is the time to fetch the owner from memory.
type owner struct {
	mac  MAC
	port uint16 // index into Registry.ports; anyPort for any
}

const anyPort = 0

// A record is a binding in 28 bytes.
type record struct {
	first, last ipv4
	owner
	line, name, file uint32
}

// Len returns the number of bindings; a range counts as one.
func (r *Registry) Len() int { return len(r.bindings) }

// Lookup returns the binding that answers for addr, if there is one.
func (r *Registry) Lookup(addr netip.Addr) (Binding, bool) {
	if !addr.Is4() {
		return Binding{}, false
	}
	leaf := r.trie.find(toIPv4(addr))
	if leaf < 0 {
		return Binding{}, false
	}
	return r.binding(r.bindings[r.trie.leaves[leaf]]), true
}

// All yields every binding, by first address, and of those with the same the widest first.
func (r *Registry) All() iter.Seq[Binding] {
	return func(yield func(Binding) bool) {
		for _, rec := range r.bindings {
			if !yield(r.binding(rec)) {
				return
			}
		}
	}
}

// lookup finds the owner of ip, or nil. It is what Handle calls, up to twice for a frame.
func (r *Registry) lookup(ip ipv4) *owner {
	leaf := r.trie.find(ip)
	if leaf < 0 {
		return nil
	}
	return &r.owners[leaf]
}

func (r *Registry) binding(rec record) Binding {
	return Binding{
		First:  rec.first.addr(),
		Last:   rec.last.addr(),
		MAC:    rec.mac,
		Name:   r.names[rec.name],
		Port:   r.ports[rec.port],
		Origin: Origin{File: r.files[rec.file], Line: int(rec.line)},
	}
}
