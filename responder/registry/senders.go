package registry

import (
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
)

// senders are the registered MACs, with the ports that they are tied to. They are kept in buckets, so that an
// edited registry copies only the buckets that change and shares the others.
type senders [senderBuckets][]sender

const senderBuckets = 256

// A sender is a MAC with one of its ports.
type sender struct {
	key   uint64 // see Owner.key
	count uint32 // how many runs of addresses it owns, and how many bindings list it; at least 1
}

// A listedChange has the owners that a Builder adds and removes by bindings that count whether they have an address or
// not: those of MACs alone, and those with an extra.
type listedChange struct{ added, removed []Owner }

// ownersOf yields the owners of runs, and then those of a list.
func ownersOf(runs iter.Seq[run], list []Owner) iter.Seq[Owner] {
	return func(yield func(Owner) bool) {
		for u := range runs {
			if !yield(u.owner) {
				return
			}
		}
		for _, o := range list {
			if !yield(o) {
				return
			}
		}
	}
}

// key returns the owner as a number, with the MAC in the upper 48 bits and the port's number in the lower 16.
func (o Owner) key() uint64 {
	var b [8]byte
	copy(b[:], o.MAC[:])
	binary.BigEndian.PutUint16(b[len(o.MAC):], o.port)
	return binary.BigEndian.Uint64(b[:])
}

const portBits = 16

// port returns the number of the sender's port.
func (s sender) port() uint16 { return uint16(s.key) }

func (s sender) mac() (m MAC) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], s.key)
	copy(m[:], b[:])
	return m
}

// bucketOf distributes MACs over the buckets (multiplicative hashing: Knuth, The Art of Computer Programming, 6.4).
func bucketOf(key uint64) int { return int(key >> portBits * 0x9e3779b97f4a7c15 >> 56) }

// of returns the senders with a MAC, in the order of their ports' numbers.
func (s *senders) of(mac MAC) []sender {
	key := Owner{MAC: mac}.key()
	bucket := s[bucketOf(key)]
	first, _ := slices.BinarySearchFunc(bucket, key, compareKey)
	end := first
	for end < len(bucket) && bucket[end].key>>portBits == key>>portBits {
		end++
	}
	return bucket[first:end]
}

func compareKey(s sender, key uint64) int { return cmp.Compare(s.key, key) }

// newSenders counts each owner.
func newSenders(owners iter.Seq[Owner]) senders {
	var s senders
	for o := range owners {
		key := o.key()
		bucket := &s[bucketOf(key)]
		*bucket = append(*bucket, sender{key, 1})
	}
	for i, bucket := range s {
		slices.SortFunc(bucket, func(a, b sender) int { return cmp.Compare(a.key, b.key) })
		s[i] = slices.Clone(addUp(bucket)) // without spare capacity
	}
	return s
}

// addUp merges adjacent senders with the same key.
func addUp(bucket []sender) []sender {
	sums := bucket[:0]
	for _, s := range bucket {
		if n := len(sums); n > 0 && sums[n-1].key == s.key {
			sums[n-1].count += s.count
			continue
		}
		sums = append(sums, s)
	}
	return sums
}

// edited returns senders with some owners removed and others added, and shares unchanged buckets with s. The owners' ports
// must have the same numbers as in s.
func (s *senders) edited(removed, added iter.Seq[Owner]) senders {
	next := *s
	copied := [senderBuckets]bool{}
	change := func(o Owner, by int) {
		i := bucketOf(o.key())
		if !copied[i] {
			next[i], copied[i] = slices.Clone(next[i]), true
		}
		next[i] = count(next[i], o.key(), by)
	}
	// They are added first, so that a sender which stays does not leave its bucket and return.
	for o := range added {
		change(o, 1)
	}
	for o := range removed {
		change(o, -1)
	}
	return next
}

// count adds by to a sender's count in a bucket, and returns the bucket. A sender that does not count is deleted.
func count(bucket []sender, key uint64, by int) []sender {
	at, found := slices.BinarySearchFunc(bucket, key, compareKey)
	if !found {
		return slices.Insert(bucket, at, sender{key, uint32(by)})
	}
	bucket[at].count += uint32(by)
	if bucket[at].count == 0 {
		return slices.Delete(bucket, at, at+1)
	}
	return bucket
}

// IsRegistered reports whether mac owns an address or may become its holder, has routes, or is bound alone. A binding of one
// MAC without routes, whose addresses all belong to narrower bindings, does not count. The same holds for MaySend, PortsOf
// and MACs.
func (r *Registry) IsRegistered(mac MAC) bool { return len(r.senders.of(mac)) > 0 }

// MaySend reports whether a port may send frames of which only the MAC is known, such as RARP. If any address of mac is
// tied to a port, only the ports that its addresses are tied to may: an address that is tied to none does not open the
// others to them.
func (r *Registry) MaySend(mac MAC, port string) bool {
	list := r.senders.of(mac)
	if len(list) > 1 && list[0].port() == anyPort { // they are in the order of their ports' numbers
		list = list[1:]
	}
	return slices.ContainsFunc(list, func(s sender) bool { return r.admits(s.port(), port) })
}

// PortsOf yields the ports that mac's addresses are tied to, each once, and "" if an address is tied to none.
func (r *Registry) PortsOf(mac MAC) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, s := range r.senders.of(mac) {
			if !yield(r.ports.at(uint32(s.port()))) {
				return
			}
		}
	}
}

// MACs yields every MAC that owns an address, each once, in no particular order.
func (r *Registry) MACs() iter.Seq[MAC] {
	return func(yield func(MAC) bool) {
		for _, bucket := range r.senders {
			for i, s := range bucket {
				if (i == 0 || bucket[i-1].key>>portBits != s.key>>portBits) && !yield(s.mac()) {
					return
				}
			}
		}
	}
}
