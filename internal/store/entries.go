package store

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// entries are a network's allocations by address. Neighbouring ones are kept together, in sorted blocks: in a map, each
// would be elsewhere in memory, and to list a million of them by address, they would have to be sorted.
type entries struct {
	blocks map[registry.IPv4][]entry // by the first address of the block
	count  int
}

// blockSize is the number of addresses of a block.
const blockSize = 256

func newEntries(allocations int) entries {
	return entries{blocks: make(map[registry.IPv4][]entry, allocations/blockSize)}
}

// find returns the block of an address, and the place of the address in it.
func (e *entries) find(ip registry.IPv4) (block []entry, at int, exists bool) {
	block = e.blocks[ip&^(blockSize-1)]
	if n := len(block); n == 0 || block[n-1].ip < ip { // as when they are read in order
		return block, n, false
	}
	at, exists = slices.BinarySearchFunc(block, ip, func(one entry, ip registry.IPv4) int { return cmp.Compare(one.ip, ip) })
	return block, at, exists
}

func (e *entries) get(ip registry.IPv4) (one entry, exists bool) {
	block, at, exists := e.find(ip)
	if !exists {
		return entry{}, false
	}
	return block[at], true
}

// add adds an entry whose address has none.
func (e *entries) add(one entry) {
	block, at, _ := e.find(one.ip)
	e.blocks[one.ip&^(blockSize-1)] = slices.Insert(block, at, one)
	e.count++
}

// remove removes the entry of an address, which has one.
func (e *entries) remove(ip registry.IPv4) {
	block, at, _ := e.find(ip)
	if block = slices.Delete(block, at, at+1); len(block) == 0 {
		delete(e.blocks, ip&^(blockSize-1))
	} else {
		e.blocks[ip&^(blockSize-1)] = block
	}
	e.count--
}

// all yields the entries by address.
func (e *entries) all() iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for _, first := range slices.Sorted(maps.Keys(e.blocks)) {
			for _, one := range e.blocks[first] {
				if !yield(one) {
					return
				}
			}
		}
	}
}
