package store

import (
	"encoding/binary"
	"slices"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// macCounts says how many allocations and held addresses have a MAC. Each is counted once for each address that has it.
type macCounts struct {
	loaded []uint64               // those of the file of all allocations, sorted: to fill a map with a million takes long
	since  map[registry.MAC]int32 // how many have come since, less those that have gone
}

// load adds a MAC of the file of all allocations. Call sort in the end.
func (c *macCounts) load(mac registry.MAC) { c.loaded = append(c.loaded, numberOf(mac)) }

func (c *macCounts) sort() { slices.Sort(c.loaded) }

func (c *macCounts) change(mac registry.MAC, by int32) {
	if c.since[mac] += by; c.since[mac] == 0 {
		delete(c.since, mac)
	}
}

func (c *macCounts) has(mac registry.MAC) bool {
	n, number := c.since[mac], numberOf(mac)
	at, _ := slices.BinarySearch(c.loaded, number)
	for ; n <= 0 && at < len(c.loaded) && c.loaded[at] == number; at++ {
		n++
	}
	return n > 0
}

func numberOf(mac registry.MAC) uint64 {
	return binary.BigEndian.Uint64([]byte{0, 0, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]})
}
