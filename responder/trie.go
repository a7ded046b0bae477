package responder

import "math/bits"

// A trie finds the binding that answers for an address. Each node splits its addresses into 64 slots by
// the next six bits. A slot leads to a node below, belongs to one binding as a whole, or is empty. As in a
// poptrie (Asai and Ohara, SIGCOMM 2015), three bit sets stand for the slots, and counting the bits before
// a slot gives its place in an array: a node takes 32 bytes however many slots are in use, so that of a
// million bindings all but the leaves fits a processor's cache.
type trie struct {
	nodes  []node // [0] is the root, of all addresses
	leaves []leaf
}

const (
	slotBits  = 6
	rootShift = 30 // the root has four slots, of 2^30 addresses each
)

type node struct {
	below                 uint64 // slots that lead to a node
	bound                 uint64 // slots that belong to a binding
	starts                uint64 // of those, the ones whose leaf is not the one of the slot before
	firstBelow, firstLeaf uint32 // where the node's own begin in trie.nodes and trie.leaves
}

// A leaf is what the decision needs of a binding, and which one it is.
type leaf struct {
	owner
	binding uint32 // index into Registry.bindings
}

// find returns the leaf of ip, or nil where no binding has it. Handle calls it up to twice for a frame.
func (t *trie) find(ip ipv4) *leaf {
	n := &t.nodes[0]
	for shift := rootShift; ; shift -= slotBits {
		slot := uint64(1) << (ip >> shift & (1<<slotBits - 1))
		switch {
		case n.below&slot != 0:
			n = &t.nodes[n.firstBelow+uint32(bits.OnesCount64(n.below&(slot-1)))]
		case n.bound&slot != 0:
			return &t.leaves[n.firstLeaf+uint32(bits.OnesCount64(n.starts&(slot-1|slot)))-1]
		default:
			return nil
		}
	}
}

// A segment is a run of addresses that one binding answers for, being the narrowest that holds them.
type segment struct {
	first, last ipv4
	leaf
}

// newTrie makes a trie of disjoint segments in the order of their addresses.
func newTrie(segments []segment) trie {
	t := trie{nodes: make([]node, 1)}
	t.fill(0, 0, rootShift, segments)
	return t
}

// fill makes node i, whose first address is from and whose slots have 2^shift addresses each, of the
// segments that have addresses in it.
func (t *trie) fill(i uint32, from ipv4, shift uint, segments []segment) {
	n := node{firstBelow: uint32(len(t.nodes)), firstLeaf: uint32(len(t.leaves))}
	var split [1 << slotBits][]segment // the segments of the nodes below
	for slot := ipv4(0); len(segments) > 0; slot++ {
		first := from + slot<<shift
		last := first + 1<<shift - 1
		end := 0
		for end < len(segments) && segments[end].first <= last {
			end++
		}
		if end == 0 {
			continue
		}
		if s := &segments[0]; s.first <= first && s.last >= last {
			n.bound |= 1 << slot
			if s.first == first || slot == 0 || n.bound>>(slot-1)&1 == 0 {
				n.starts |= 1 << slot
				t.leaves = append(t.leaves, s.leaf)
			}
		} else {
			n.below |= 1 << slot
			split[slot] = segments[:end]
			t.nodes = append(t.nodes, node{})
		}
		if segments[end-1].last > last {
			end--
		}
		segments = segments[end:]
	}
	t.nodes[i] = n
	child := n.firstBelow
	for slot, segments := range split {
		if len(segments) > 0 {
			t.fill(child, from+ipv4(slot)<<shift, shift-slotBits, segments)
			child++
		}
	}
}
