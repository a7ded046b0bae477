package responder

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"
)

// Registry is the immutable set of a network's bindings. A binding of one address wins over a range that
// holds the address too, and a narrower range over a wider one. It may be used from several goroutines at
// once. A million bindings of neighbouring addresses take some 48 MB.
type Registry struct {
	bindings []record // by first address
	trie     trie
	owners   []owner // by leaf of the trie
	users    []user  // by MAC

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

// Owners yields every run of addresses that one binding answers for, by address: that binding, with First and
// Last of the run. Runs are disjoint and as long as they can be; a binding of one address in a range cuts the
// range in two. [Registry.Lookup] of each of a run's addresses finds the same binding, uncut.
func (r *Registry) Owners() iter.Seq[Binding] {
	return func(yield func(Binding) bool) {
		for s := range r.segments() {
			b := r.binding(r.bindings[s.binding])
			b.First, b.Last = s.first.addr(), s.last.addr()
			if !yield(b) {
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

// isOwner reports whether a sender with this MAC, behind port, is the one that bound stands for.
func (r *Registry) isOwner(bound *owner, mac MAC, port string) bool {
	return bound.mac == mac && r.allows(bound.port, port)
}

// allows reports whether the port of an owner, as an index, admits port.
func (r *Registry) allows(index uint16, port string) bool {
	return index == anyPort || r.ports[index] == port
}

// A user is a MAC that answers for some address, with the port that it is tied to there: the number of an owner,
// so that a sorted list of them can be searched for a MAC. It has the MAC in its upper 48 bits.
type user uint64

const userPortBits = 16

func newUser(o owner) user {
	var b [8]byte
	copy(b[:], o.mac[:])
	binary.BigEndian.PutUint16(b[len(o.mac):], o.port)
	return user(binary.BigEndian.Uint64(b[:]))
}

// newUsers lists the different owners by MAC, and those with the same by port.
func newUsers(owners []owner) []user {
	users := make([]user, len(owners))
	for i, o := range owners {
		users[i] = newUser(o)
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// usersOf returns all that r has of one MAC.
func (r *Registry) usersOf(mac MAC) []user {
	first, _ := slices.BinarySearch(r.users, newUser(owner{mac: mac}))
	end := first
	for end < len(r.users) && r.users[end]>>userPortBits == newUser(owner{mac: mac})>>userPortBits {
		end++
	}
	return r.users[first:end]
}

// knows reports whether any address is bound to mac.
func (r *Registry) knows(mac MAC) bool { return len(r.usersOf(mac)) > 0 }

// mayUse reports whether mac has any address that it may send from behind port.
func (r *Registry) mayUse(mac MAC, port string) bool {
	return slices.ContainsFunc(r.usersOf(mac), func(u user) bool { return r.allows(uint16(u), port) })
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
