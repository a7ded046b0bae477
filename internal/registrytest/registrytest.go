// Package registrytest makes registries for tests: from short texts, large ones, and random ones. It also has a linear
// search to compare random registries with.
package registrytest

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// MAC parses a MAC. It panics if s is not one.
func MAC(s string) registry.MAC {
	m, err := registry.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

// Bind returns a binding of "first" or "first-last" to a MAC.
func Bind(addresses, owner string) registry.Binding {
	first, last, isRange := strings.Cut(addresses, "-")
	if !isRange {
		last = first
	}
	return registry.Binding{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last), MAC: MAC(owner)}
}

// Prefixes parses a list of prefixes. It panics if one is not IPv4.
func Prefixes(list ...string) registry.Prefixes {
	var parsed []netip.Prefix
	for _, p := range list {
		parsed = append(parsed, netip.MustParsePrefix(p))
	}
	return registry.PrefixesOf(parsed...)
}

// MACs parses a list of MACs. It panics if one is none.
func MACs(list ...string) registry.MACs {
	var parsed []registry.MAC
	for _, m := range list {
		parsed = append(parsed, MAC(m))
	}
	return registry.MACsOf(parsed...)
}

// New returns a registry of bindings, which must not conflict.
func New(t testing.TB, bindings ...registry.Binding) *registry.Registry {
	t.Helper()
	reg, err := registry.New(slices.Values(bindings))
	if err != nil {
		t.Fatalf("registry.New: %v", err)
	}
	return reg
}

// FirstIP is the first address of Many: 10.0.0.0.
const FirstIP = 10 << 24

// Many returns a registry with n bindings of width addresses each, one after the other from FirstIP. The i-th has
// MACOf(i).
func Many(t testing.TB, n, width uint32) *registry.Registry {
	t.Helper()
	reg, err := registry.New(func(yield func(registry.Binding) bool) {
		for i := range n {
			first := FirstIP + i*width
			if !yield(registry.Binding{First: Addr(first), Last: Addr(first + width - 1), MAC: MACOf(i)}) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// Addr returns the address with the number n.
func Addr(n uint32) netip.Addr { return registry.IPv4(n).Addr() }

// MACOf returns the MAC of the n-th owner.
func MACOf(n uint32) registry.MAC {
	return registry.MAC(binary.BigEndian.AppendUint32([]byte{0x02, 0x00}, n))
}

// Random returns up to n bindings that often overlap but do not conflict, each with its own MAC. They are in a block of
// random size at a random place, so that every level of a trie is tested.
func Random(rng *rand.Rand, n int) []registry.Binding {
	blockBits := 4 + rng.IntN(24)
	block := (1+rng.Uint32N(100))<<24 + rng.Uint32N(1<<24)
	var bindings []registry.Binding
	for i := range n {
		first := block + rng.Uint32N(1<<blockBits)
		last := min(first+rng.Uint32N(1<<rng.IntN(blockBits)), block+1<<blockBits-1)
		b := registry.Binding{First: Addr(first), Last: Addr(last), MAC: MACOf(uint32(i))}
		if !Conflicts(bindings, b) {
			bindings = append(bindings, b)
		}
	}
	return bindings
}

// Size returns the number of addresses of a binding, less one.
func Size(b registry.Binding) uint32 { return number(b.Last) - number(b.First) }

func number(addr netip.Addr) uint32 { return uint32(registry.IPv4Of(addr)) }

// Overlap reports whether two bindings share an address.
func Overlap(a, b registry.Binding) bool { return !a.Last.Less(b.First) && !b.Last.Less(a.First) }

// Conflicts reports whether b conflicts with any of bindings.
func Conflicts(bindings []registry.Binding, b registry.Binding) bool {
	return slices.ContainsFunc(bindings, func(o registry.Binding) bool {
		if o.IsAlone() || b.IsAlone() {
			return o.IsAlone() && b.IsAlone() && o.MAC == b.MAC
		}
		return Size(o) == Size(b) && Overlap(o, b)
	})
}

// Narrowest returns the narrowest of bindings that has addr, or nil.
func Narrowest(bindings []registry.Binding, addr netip.Addr) *registry.Binding {
	var found *registry.Binding
	for i, b := range bindings {
		if !addr.Less(b.First) && !b.Last.Less(addr) && (found == nil || Size(b) < Size(*found)) {
			found = &bindings[i]
		}
	}
	return found
}

// Addrs returns addresses around the ends of bindings, some within them, and some at random.
func Addrs(rng *rand.Rand, bindings []registry.Binding) []netip.Addr {
	addrs := []netip.Addr{Addr(0), Addr(1<<32 - 1)}
	for _, b := range bindings {
		if b.IsAlone() {
			continue
		}
		first, last := number(b.First), number(b.Last)
		within := first + rng.Uint32N(last-first+1)
		for _, n := range []uint32{first - 1, first, within, last, last + 1, rng.Uint32()} {
			addrs = append(addrs, Addr(n))
		}
	}
	return addrs
}
