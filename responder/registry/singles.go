package registry

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"
)

// singles are the bindings of one address. They are kept in blocks of 4096 neighbouring addresses, so that an edited
// registry copies only the blocks that change and shares the others.
type singles struct {
	count  int
	blocks []*block // by address
	index  trie     // finds the position of a block in blocks by its number
}

// blockBits is the number of low bits of an address that give its place in a block; the bits above are the block's
// number.
const blockBits = 12

// A block has the bindings of its 4096 addresses, at least one. As in a trie's node, bit sets tell which addresses are
// bound, and the number of set bits before an address is its index in the arrays.
type block struct {
	number IPv4   // the upper 20 bits of its addresses
	used   uint64 // which of its 64 words have a bound address
	words  []word // the words that have one

	owners  []Owner  // by address
	details []detail // by address; apart from owners, to keep look-ups of owners in the cache
	names   names    // the names in details
}

// A word is 64 neighbouring addresses.
type word struct {
	bound  uint64 // which of them have a binding
	before uint16 // the number of bound addresses in the words before
}

// A detail is the part of a binding that Owner does not return. It has 8 bytes.
type detail struct {
	line         uint32
	name, source uint16 // numbers in block.names and Registry.sources
}

// A position is the position of a binding of one address.
type position struct {
	block *block
	index int
}

// find returns the block that has ip, and the index of ip's binding in the block. ok is false if there is no such
// binding.
func (s *singles) find(ip IPv4) (b *block, i int, ok bool) {
	leaf := s.index.find(ip >> blockBits)
	if leaf < 0 {
		return nil, 0, false
	}
	b = s.blocks[leaf]
	i, ok = b.find(ip)
	return b, i, ok
}

// find returns the index in the block's arrays of an address, which must be in the block. It returns false if the address
// is not bound.
func (b *block) find(ip IPv4) (int, bool) {
	slot := uint64(1) << (ip >> slotBits & (slots - 1))
	if b.used&slot == 0 {
		return 0, false
	}
	w := &b.words[countBefore(b.used, slot)]
	bit := uint64(1) << (ip & (slots - 1))
	return int(uint32(w.before) + countBefore(w.bound, bit)), w.bound&bit != 0
}

// from yields the bindings from first to last, by address.
func (s *singles) from(first, last IPv4) iter.Seq2[IPv4, position] {
	return func(yield func(IPv4, position) bool) {
		for _, b := range s.blocks[s.blockAt(first>>blockBits):] {
			for ip, i := range b.from(first) {
				if ip > last || !yield(ip, position{b, i}) {
					return
				}
			}
		}
	}
}

// all yields the block's bound addresses in order, each with its index in the arrays.
func (b *block) all() iter.Seq2[IPv4, int] { return b.from(0) }

// from yields the block's bound addresses from an address on, which is in the block or before it.
func (b *block) from(first IPv4) iter.Seq2[IPv4, int] {
	first = max(first, b.number<<blockBits) & (1<<blockBits - 1)
	return func(yield func(IPv4, int) bool) {
		slot := first >> slotBits
		for used := b.used &^ below(slot); used != 0; used &= used - 1 {
			at := IPv4(bits.TrailingZeros64(used))
			w := &b.words[countBefore(b.used, 1<<at)]
			bound := w.bound
			if at == slot {
				bound &^= below(first & (slots - 1))
			}
			start, i := b.number<<blockBits|at<<slotBits, int(w.before)+bits.OnesCount64(w.bound&^bound)
			for ; bound != 0; bound &= bound - 1 {
				if !yield(start|IPv4(bits.TrailingZeros64(bound)), i) {
					return
				}
				i++
			}
		}
	}
}

// below has the bits below one set: all of them for 64.
func below(bit IPv4) uint64 { return 1<<bit - 1 }

// lastBefore returns the last bound address before ip, and firstAfter the first one after ip. They return false if
// there is none.
func (s *singles) lastBefore(ip IPv4) (found IPv4, ok bool) {
	at := s.blockAt(ip >> blockBits)
	for i := min(at, len(s.blocks)-1); i >= 0 && !ok; i-- {
		found, ok = s.blocks[i].lastBefore(ip)
	}
	return found, ok
}

func (s *singles) firstAfter(ip IPv4) (IPv4, bool) {
	if ip == maxIPv4 {
		return 0, false
	}
	for found := range s.from(ip+1, maxIPv4) {
		return found, true
	}
	return 0, false
}

// lastBefore returns the block's last bound address before ip.
func (b *block) lastBefore(ip IPv4) (IPv4, bool) {
	start := b.number << blockBits
	if ip <= start {
		return 0, false
	}
	end := min(ip-start, 1<<blockBits)
	slot, bit := end>>slotBits, end&(slots-1)
	if used := b.used & below(slot+1) &^ below(slot); used != 0 && slot < slots { // ip's own word
		if bound := b.words[countBefore(b.used, used)].bound & below(bit); bound != 0 {
			return start | slot<<slotBits | highest(bound), true
		}
	}
	used := b.used & below(slot)
	if used == 0 {
		return 0, false
	}
	at := highest(used)
	return start | at<<slotBits | highest(b.words[countBefore(b.used, 1<<at)].bound), true
}

// highest returns the number of the highest bit that is set; one is.
func highest(set uint64) IPv4 { return IPv4(bits.Len64(set) - 1) }

// blockAt returns the index of the first block whose number is at least number.
func (s *singles) blockAt(number IPv4) int {
	at, _ := findBlock(s.blocks, number)
	return at
}

func findBlock(blocks []*block, number IPv4) (at int, found bool) {
	return slices.BinarySearchFunc(blocks, number, func(b *block, n IPv4) int { return cmp.Compare(b.number, n) })
}

// newSingles returns the set of blocks, which must be in the order of their addresses.
func newSingles(blocks []*block) singles {
	s := singles{blocks: blocks}
	segments := make([]segment, len(blocks))
	for i, b := range blocks {
		s.count += len(b.owners)
		segments[i] = segment{b.number, b.number, uint32(i)}
	}
	// Each segment is one number, so the trie's leaves are in the order of the blocks, and find needs no table of leaves.
	s.index = newTrie(segments)
	s.index.leaves = nil
	return s
}

// withBlocks returns a set of other blocks. It shares the index with s if the blocks have the same numbers.
func (s *singles) withBlocks(blocks []*block) singles {
	if !slices.EqualFunc(s.blocks, blocks, func(a, b *block) bool { return a.number == b.number }) {
		return newSingles(blocks)
	}
	next := singles{blocks: blocks, index: s.index}
	for _, b := range blocks {
		next.count += len(b.owners)
	}
	return next
}

// A batch collects the bindings of one block.
type batch struct {
	list  []single
	texts names // the names in list
}

// A single is a binding of one address in a batch.
type single struct {
	ip     IPv4
	owner  Owner
	line   uint32
	name   uint32 // number in batch.texts
	source uint16 // number in Registry.sources

	isAdded   bool // by the Builder that has it, and not in the registry that it edits
	isRemoved bool // by that Builder
}

func (t *batch) add(s single, name string) {
	s.name = t.texts.add(name)
	t.list = append(t.list, s)
}

// remove removes the binding of an address, of those that a block had, and reports whether there was one.
func (t *batch) remove(ip IPv4) bool {
	i, found := slices.BinarySearchFunc(t.list, ip, func(s single, ip IPv4) int { return cmp.Compare(s.ip, ip) })
	if !found || t.list[i].isRemoved {
		return false
	}
	t.list[i].isRemoved = true // it goes with all others when the block is made
	return true
}

// compare orders bindings by address, then added ones last, then by origin, so that the later of two bindings in conflict is
// reported.
func (s single) compare(other single) int {
	return cmp.Or(cmp.Compare(s.ip, other.ip), compareAdded(s.isAdded, other.isAdded),
		cmp.Compare(s.source, other.source), cmp.Compare(s.line, other.line))
}

// newBlock makes a block from a batch, which must be sorted by address and not empty.
func newBlock(singles *batch) *block {
	list := singles.list
	b := &block{
		number: list[0].ip >> blockBits,
		owners: make([]Owner, len(list)), details: make([]detail, len(list)),
	}
	for i, s := range list {
		b.set(i, s, singles.texts.at(s.name))
	}
	b.words, b.names = slices.Clip(b.words), slices.Clip(b.names)
	return b
}

// set sets the i-th binding. Bindings must be set in the order of addresses.
func (b *block) set(i int, s single, name string) {
	slot := uint64(1) << (s.ip >> slotBits & (slots - 1))
	if b.used&slot == 0 {
		b.used |= slot
		b.words = append(b.words, word{before: uint16(i)})
	}
	b.words[len(b.words)-1].bound |= 1 << (s.ip & (slots - 1))
	b.owners[i] = s.owner
	b.details[i] = detail{line: s.line, source: s.source, name: uint16(b.names.add(name))}
}

// batch returns a copy of the block's bindings that can be changed.
func (b *block) batch() *batch {
	t := &batch{list: make([]single, 0, len(b.owners)+1), texts: slices.Clip(b.names)}
	for ip, i := range b.all() {
		t.list = append(t.list, b.single(ip, i))
	}
	return t
}

// single returns the i-th binding, which is of ip; its name is a number in b.names.
func (b *block) single(ip IPv4, i int) single {
	d := b.details[i]
	return single{ip: ip, owner: b.owners[i], line: d.line, name: uint32(d.name), source: d.source}
}
