package responder

import "math/bits"

// A trie finds the leaf of an address. Each node splits its addresses into 64 slots by six bits of the
// address. A slot leads to a node below, belongs to one binding as a whole, or is empty. As in a poptrie
// (Asai and Ohara, SIGCOMM 2015) bit sets stand for the slots, and the number of bits before a slot gives
// its place in an array: a node takes 32 bytes however many of its slots are in use, so that the nodes of a
// million neighbouring addresses stay in the processor's cache.
type trie struct {
	prefix ipv4 // the first address that the root may hold
	shift  uint // a slot of the root has 2^shift addresses
	root   node
	nodes  []node
	leaves []uint32 // what each leaf stands for: segment.binding
}

const (
	slotBits = 6
	slots    = 1 << slotBits
)

type node struct {
	below                 uint64 // slots that lead to a node
	bound                 uint64 // slots that belong to a binding
	starts                uint64 // of those, the ones that don't share the leaf of the slot before
	firstBelow, firstLeaf uint32 // where the node's own begin in trie.nodes and trie.leaves
}

// A segment is a run of addresses that one binding answers for, being the narrowest that holds them.
type segment struct {
	first, last ipv4
	binding     uint32 // index into Registry.bindings
}

// find returns the index of ip's leaf, or -1 where no binding has ip. (A shift is at most 30; to say so with
// &31 spares the processor a check.)
func (t *trie) find(ip ipv4) int {
	if (ip-t.prefix)>>(t.shift&31)>>slotBits != 0 {
		return -1
	}
	n := &t.root
	for shift := t.shift; ; shift -= slotBits {
		slot := uint64(1) << (ip >> (shift & 31) & (slots - 1))
		switch {
		case n.below&slot != 0:
			n = &t.nodes[n.firstBelow+countBefore(n.below, slot)]
		case n.bound&slot != 0:
			return int(n.firstLeaf + countBefore(n.starts, slot<<1) - 1)
		default:
			return -1
		}
	}
}

// countBefore counts the bits of set below the one that is set in slot.
func countBefore(set, slot uint64) uint32 { return uint32(bits.OnesCount64(set & (slot - 1))) }

// newTrie makes a trie of disjoint segments in the order of their addresses.
func newTrie(segments []segment) trie {
	t := trie{leaves: make([]uint32, 0, len(segments))}
	if len(segments) > 0 {
		first, last := segments[0].first, segments[len(segments)-1].last
		for (first^last)>>t.shift>>slotBits != 0 {
			t.shift += slotBits
		}
		t.prefix = first >> t.shift >> slotBits << slotBits << t.shift
		t.root = t.fill(t.prefix, t.shift, segments)
	}
	return t
}

// fill makes the node whose first address is from and whose slots have 2^shift addresses each, and all below
// it, of the segments that have addresses in it, the first and the last of which may reach beyond it.
func (t *trie) fill(from ipv4, shift uint, segments []segment) node {
	n := node{firstBelow: uint32(len(t.nodes)), firstLeaf: uint32(len(t.leaves))}
	var below [slots][]segment
	for slot := ipv4(0); slot < slots && len(segments) > 0; slot++ {
		first := from + slot<<shift
		last := first + 1<<shift - 1
		var here []segment
		here, segments = splitAfter(segments, last)
		switch {
		case len(here) == 0:
		case here[0].first <= first && here[0].last >= last:
			if n.bind(slot, here[0].first < first) {
				t.leaves = append(t.leaves, here[0].binding)
			}
		default:
			n.below |= 1 << slot
			t.nodes = append(t.nodes, node{})
			below[slot] = here
		}
	}
	next := n.firstBelow
	for slot, here := range below {
		if len(here) > 0 {
			child := t.fill(from+ipv4(slot)<<shift, shift-slotBits, here)
			t.nodes[next] = child
			next++
		}
	}
	return n
}

// bind notes that a binding has the whole slot, and reports whether it needs a leaf: it shares that of the
// slot before if the binding began earlier and has that slot too.
func (n *node) bind(slot ipv4, beganEarlier bool) bool {
	n.bound |= 1 << slot
	if beganEarlier && n.bound<<1>>slot&1 != 0 {
		return false
	}
	n.starts |= 1 << slot
	return true
}

// splitAfter returns the segments that begin at last or before, and those that end after it. A segment can
// be among both.
func splitAfter(segments []segment, last ipv4) (here, after []segment) {
	n := 0
	for n < len(segments) && segments[n].first <= last {
		n++
	}
	here, after = segments[:n], segments[n:]
	if n > 0 && here[n-1].last > last {
		after = segments[n-1:]
	}
	return here, after
}
