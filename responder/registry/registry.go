package registry

import (
	"iter"
	"net/netip"
)

// Registry is the immutable set of a network's bindings. A binding of one address wins over a range that contains it,
// and a narrower range over a wider one. A Registry is safe for concurrent use. A million bindings of neighbouring
// addresses take about 33 MB.
//
// Bindings of one address and ranges are kept apart. There may be millions of the former, and they change one at a time.
// Ranges are few, and all of them are compiled again when one changes.
type Registry struct {
	single  singles
	ranges  ranges
	senders senders

	alones   alones
	extras   extras
	routes   routes // by owner
	routesTo routes // the same without their ports

	nameTables
	namesWhenBuilt int // how many there were before the first edit
}

// Owner is the owner of an address: a MAC, and the port that it is tied to, if any. The port is only valid in the
// registry that returned the Owner. An Owner has 8 bytes, because with many bindings the time of a look-up is the time
// to fetch the owner from memory.
type Owner struct {
	MAC  MAC
	port uint16 // number in Registry.ports; anyPort for any
}

const anyPort = 0

// Len returns the number of bindings; a range counts as one.
func (r *Registry) Len() int { return r.single.count + len(r.ranges.bindings) + len(r.alones) }

// Owner returns the owner of ip, or false if no binding has ip.
func (r *Registry) Owner(ip IPv4) (Owner, bool) {
	if b, i, ok := r.single.find(ip); ok {
		return b.owners[i], true
	}
	if leaf := r.ranges.trie.find(ip); leaf >= 0 {
		return r.ranges.owners[leaf], true
	}
	return Owner{}, false
}

// NamesPorts reports whether any binding names a port. After an edit it may return true although none does any more.
func (r *Registry) NamesPorts() bool { return len(r.ports) > 0 }

// Admits reports whether the owner, which r returned, may send from a port.
func (r *Registry) Admits(o Owner, port string) bool { return r.admits(o.port, port) }

func (r *Registry) admits(number uint16, port string) bool {
	return number == anyPort || r.ports.at(uint32(number)) == port
}

// Lookup returns the binding that answers for addr, if there is one.
func (r *Registry) Lookup(addr netip.Addr) (Binding, bool) {
	if !addr.Is4() {
		return Binding{}, false
	}
	ip := IPv4Of(addr)
	if b, i, ok := r.single.find(ip); ok {
		return r.bindingOf(position{b, i}, ip), true
	}
	if rec := r.ranges.record(ip); rec != nil {
		return r.bindingOfRange(rec), true
	}
	return Binding{}, false
}

// All yields every binding in the order of first addresses, the widest first where they are equal, and then the bindings
// of MACs alone in the order of MACs.
func (r *Registry) All() iter.Seq[Binding] {
	return func(yield func(Binding) bool) {
		next := 0
		for ip, at := range r.single.from(0, maxIPv4) {
			for ; next < len(r.ranges.bindings) && r.ranges.bindings[next].first <= ip; next++ {
				if !yield(r.bindingOfRange(&r.ranges.bindings[next])) {
					return
				}
			}
			if !yield(r.bindingOf(at, ip)) {
				return
			}
		}
		for ; next < len(r.ranges.bindings); next++ {
			if !yield(r.bindingOfRange(&r.ranges.bindings[next])) {
				return
			}
		}
		for _, a := range r.alones {
			if !yield(r.aloneBinding(a)) {
				return
			}
		}
	}
}

// bindingOf returns the binding at a position, which is of ip, and bindingOfRange that of a range.
func (r *Registry) bindingOf(at position, ip IPv4) Binding {
	return r.complete(r.singleBinding(at.block.single(ip, at.index), at.block.names))
}

func (r *Registry) bindingOfRange(rec *record) Binding {
	return r.complete(r.rangeBinding(rec, r.ranges.texts))
}

const maxIPv4 = ^IPv4(0)

// nameTables are the names that numbers in bindings stand for.
type nameTables struct{ ports, sources names }

// singleBinding and rangeBinding decode a binding, whose name is in texts, without its extra.
func (t nameTables) singleBinding(s single, texts names) Binding {
	return t.binding(s.ip, s.ip, s.owner, texts.at(s.name), s.source, s.line)
}

func (t nameTables) rangeBinding(rec *record, texts names) Binding {
	return t.binding(rec.first, rec.last, rec.owner, texts.at(rec.name), rec.source, rec.line)
}

func (t nameTables) binding(first, last IPv4, o Owner, name string, source uint16, line uint32) Binding {
	return Binding{
		First: first.Addr(), Last: last.Addr(), MAC: o.MAC, Port: t.ports.at(uint32(o.port)), Name: name,
		Origin: Origin{t.sources.at(uint32(source)), int(line)},
	}
}

// names are strings, numbered from 1; 0 is the empty string.
type names []string

func (n names) at(number uint32) string {
	if number == 0 {
		return ""
	}
	return n[number-1]
}

// add appends a name, even if it is there already, and returns its number.
func (n *names) add(name string) uint32 {
	if name == "" {
		return 0
	}
	*n = append(*n, name)
	return uint32(len(*n))
}
