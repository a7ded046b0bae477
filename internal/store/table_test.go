package store

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// TestEntries compares entries with a map, while random ones come and go.
func TestEntries(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	e, want := newEntries(0), map[registry.IPv4]entry{}
	for n := range 20_000 {
		ip := registry.IPv4(10<<24 + rng.IntN(2000))
		got, exists := e.get(ip)
		if before, expected := want[ip]; got != before || exists != expected {
			t.Fatalf("%s is %+v %t, want %+v %t", ip.Addr(), got, exists, before, expected)
		}
		if exists {
			e.remove(ip)
			delete(want, ip)
		} else {
			want[ip] = entry{ip: ip, revision: uint64(n)}
			e.add(want[ip])
		}
	}
	var all []registry.IPv4
	for one := range e.all() {
		all = append(all, one.ip)
	}
	if !slices.Equal(all, slices.Sorted(maps.Keys(want))) || e.count != len(want) {
		t.Errorf("%d entries of %d, count %d", len(all), len(want), e.count)
	}
	for ip := range want {
		e.remove(ip)
	}
	if e.count != 0 || len(e.blocks) != 0 {
		t.Errorf("%d entries, %d blocks", e.count, len(e.blocks))
	}
}

// TestMACCounts counts MACs of which some were loaded, while they come and go.
func TestMACCounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	c, want := macCounts{since: map[registry.MAC]int32{}}, map[registry.MAC]int32{}
	random := func() registry.MAC { return registry.MAC{2, byte(rng.IntN(2)), 0, 0, 0, byte(rng.IntN(20))} }
	for range 60 {
		mac := random()
		c.load(mac)
		want[mac]++
	}
	c.sort()
	for range 10_000 {
		mac := random()
		if c.has(mac) != (want[mac] > 0) {
			t.Fatalf("%s: %t, but it is there %d times", mac, c.has(mac), want[mac])
		}
		by := int32(1)
		if want[mac] > 0 && rng.IntN(2) == 0 {
			by = -1
		}
		c.change(mac, by)
		want[mac] += by
	}
}
