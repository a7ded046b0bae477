package registry

import "math/bits"

// A trie finds the leaf of an address. Each node splits its addresses into 64 slots by six bits of the address. A slot
// leads to a node below, belongs to one segment as a whole, or is empty. As in a poptrie (Asai and Ohara, SIGCOMM 2015),
// bit sets represent the slots, and the number of set bits before a slot is its index in an array. So a node takes 32
// bytes however many of its slots are used, and the nodes of a million neighbouring addresses stay in the processor's
// cache.
type trie struct {
	prefix IPv4 // the first address of the root
	shift  uint // a slot of the root has 2^shift addresses
	root   node
	nodes  []node
	leaves []uint32 // segment.index of each leaf
}

const (
	slotBits = 6
	slots    = 1 << slotBits
)

type node struct {
	below                 uint64 // slots that lead to a node
	bound                 uint64 // slots that belong to a segment
	starts                uint64 // bound slots that do not share the leaf of the slot before
	firstBelow, firstLeaf uint32 // index of the node's first child in trie.nodes, and of its first leaf in trie.leaves
}

// A segment is a run of keys in a trie. In the trie of ranges, the keys are addresses that belong to one range; in the
// trie of singles, the key is the number of one block.
type segment struct {
	first, last IPv4
	index       uint32 // of the range in ranges.bindings, or of the block in singles.blocks
}

// find returns the index of ip's leaf, or -1 if no segment has ip. A shift is at most 30; the mask &31 tells the
// compiler, which then omits a check.
func (t *trie) find(ip IPv4) int {
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

// countBefore returns the number of bits set in set below the bit slot.
func countBefore(set, slot uint64) uint32 { return uint32(bits.OnesCount64(set & (slot - 1))) }

// newTrie makes a trie of segments, which must be disjoint and in order.
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

// fill makes the node whose first address is from and whose slots have 2^shift addresses each, and all nodes below it.
// segments are those with addresses in the node; the first and the last may extend beyond it.
func (t *trie) fill(from IPv4, shift uint, segments []segment) node {
	n := node{firstBelow: uint32(len(t.nodes)), firstLeaf: uint32(len(t.leaves))}
	var below [slots][]segment
	for slot := IPv4(0); slot < slots && len(segments) > 0; slot++ {
		first := from + slot<<shift
		last := first + 1<<shift - 1
		var here []segment
		here, segments = splitAfter(segments, last)
		switch {
		case len(here) == 0:
		case here[0].first <= first && here[0].last >= last:
			if n.bind(slot, here[0].first < first) {
				t.leaves = append(t.leaves, here[0].index)
			}
		default:
			n.below |= 1 << slot
			t.nodes = append(t.nodes, node{})
			below[slot] = here
		}
	}
	// The children are filled after all of them have their place, because a node's children must be adjacent.
	next := n.firstBelow
	for slot, here := range below {
		if len(here) > 0 {
			// Not in one statement: fill appends to t.nodes, which may move it.
			child := t.fill(from+IPv4(slot)<<shift, shift-slotBits, here)
			t.nodes[next] = child
			next++
		}
	}
	return n
}

// bind marks a slot as belonging to one segment as a whole, and reports whether it needs a leaf. It shares the leaf of
// the slot before if the segment began earlier and has that slot too.
func (n *node) bind(slot IPv4, beganEarlier bool) bool {
	n.bound |= 1 << slot
	if beganEarlier && n.bound<<1>>slot&1 != 0 {
		return false
	}
	n.starts |= 1 << slot
	return true
}

// splitAfter returns the segments that begin at last or before, and those that end after it. One segment may be in both.
func splitAfter(segments []segment, last IPv4) (here, after []segment) {
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
