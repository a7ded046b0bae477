package registry_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/go-cmp/cmp"
)

func TestOwners(t *testing.T) {
	tests := []struct {
		name     string
		bindings []registry.Binding
		want     []registry.Binding
	}{
		{"no binding", nil, nil},
		{
			"addresses, in any order",
			[]registry.Binding{bind("10.0.0.2", macB), bind("10.0.0.1", macA), bind("9.0.0.1", macC)},
			[]registry.Binding{bind("9.0.0.1", macC), bind("10.0.0.1", macA), bind("10.0.0.2", macB)},
		},
		{
			"the widest ranges",
			[]registry.Binding{bind("1.0.0.0-126.255.255.255", macA), bind("128.0.0.0-223.255.255.255", macB)},
			[]registry.Binding{bind("1.0.0.0-126.255.255.255", macA), bind("128.0.0.0-223.255.255.255", macB)},
		},
		{
			"an address cuts a range in two",
			[]registry.Binding{bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.7", macB)},
			[]registry.Binding{
				bind("10.0.0.0-10.0.0.6", macA), bind("10.0.0.7", macB), bind("10.0.0.8-10.0.0.255", macA),
			},
		},
		{
			"addresses at both ends of a range",
			[]registry.Binding{bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.0", macB), bind("10.0.0.255", macC)},
			[]registry.Binding{
				bind("10.0.0.0", macB), bind("10.0.0.1-10.0.0.254", macA), bind("10.0.0.255", macC),
			},
		},
		{
			"nested, with the same start",
			[]registry.Binding{
				bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.0-10.0.0.15", macB), bind("10.0.0.0", macC),
			},
			[]registry.Binding{
				bind("10.0.0.0", macC), bind("10.0.0.1-10.0.0.15", macB), bind("10.0.0.16-10.0.0.255", macA),
			},
		},
		{
			"a wider range that begins in a narrower one does not cut it",
			[]registry.Binding{
				bind("10.0.0.0-10.0.0.99", macA), bind("10.0.0.50-10.0.0.255", macB), bind("10.0.0.60-10.0.3.0", macC),
			},
			[]registry.Binding{
				bind("10.0.0.0-10.0.0.99", macA), bind("10.0.0.100-10.0.0.255", macB), bind("10.0.1.0-10.0.3.0", macC),
			},
		},
		{
			"a wider one and a narrower one that begin at the same address",
			[]registry.Binding{
				bind("10.0.0.0-10.0.0.99", macA), bind("10.0.0.50-10.0.0.255", macB), bind("10.0.0.50", macC),
			},
			[]registry.Binding{
				bind("10.0.0.0-10.0.0.49", macA), bind("10.0.0.50", macC), bind("10.0.0.51-10.0.0.99", macA),
				bind("10.0.0.100-10.0.0.255", macB),
			},
		},
		{
			"neighbours of one owner are not merged",
			[]registry.Binding{bind("10.0.0.1", macA), bind("10.0.0.2", macA)},
			[]registry.Binding{bind("10.0.0.1", macA), bind("10.0.0.2", macA)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := slices.Collect(registrytest.New(t, tt.bindings...).Owners())
			if diff := cmp.Diff(tt.want, got, comparable); diff != "" {
				t.Errorf("Owners (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOwnersStops(t *testing.T) {
	reg := registrytest.New(t, bind("10.0.0.1", macA), bind("10.0.0.2", macB))
	for b := range reg.Owners() {
		if b != bind("10.0.0.1", macA) {
			t.Errorf("the first of Owners is %v", b)
		}
		break
	}
}

// TestOwnersLikeLookup compares the runs of random registries with Lookup, around the ends of all bindings.
func TestOwnersLikeLookup(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 300 {
		bindings := registrytest.Random(rng, 1+rng.IntN(60))
		checkOwners(t, registrytest.New(t, bindings...), registrytest.Addrs(rng, bindings))
		if t.Failed() {
			t.Fatal(bindings)
		}
	}
}

// FuzzOwners does the same for all addresses of a small block full of ranges. Three bytes make a range: its first
// address, its size less one, and its MAC.
func FuzzOwners(f *testing.F) {
	f.Add([]byte{0, 99, 1, 50, 205, 2, 60, 0, 3, 99, 1, 1})
	f.Fuzz(func(t *testing.T, ranges []byte) {
		const block, margin = 10 << 24, 2
		var bindings []registry.Binding
		for r := range slices.Chunk(ranges, 3) {
			if len(r) < 3 {
				break
			}
			first := block + uint32(r[0])
			b := registry.Binding{First: registrytest.Addr(first), Last: registrytest.Addr(first + uint32(r[1])), MAC: registrytest.MACOf(uint32(r[2]))}
			if !registrytest.Conflicts(bindings, b) {
				bindings = append(bindings, b)
			}
		}
		var addrs []netip.Addr
		for n := uint32(block - margin); n < block+2*256+margin; n++ {
			addrs = append(addrs, registrytest.Addr(n))
		}
		checkOwners(t, registrytest.New(t, bindings...), addrs)
	})
}

// checkOwners expects the runs to be in order, disjoint and as long as possible. It expects each of addrs to be in a
// run of the binding that Lookup finds, or in none.
func checkOwners(t *testing.T, reg *registry.Registry, addrs []netip.Addr) {
	t.Helper()
	runs := slices.Collect(reg.Owners())
	for i, run := range runs {
		if run.Last.Less(run.First) {
			t.Errorf("the run %v ends before it starts", run)
		}
		if i > 0 && !runs[i-1].Last.Less(run.First) {
			t.Errorf("%v comes before %v", runs[i-1], run)
		}
		if i > 0 && runs[i-1].Last.Next() == run.First && uncut(t, reg, runs[i-1]) == uncut(t, reg, run) {
			t.Errorf("%v and %v should be one run", runs[i-1], run)
		}
	}
	for _, addr := range addrs {
		want, bound := reg.Lookup(addr)
		i, _ := slices.BinarySearchFunc(runs, addr, func(run registry.Binding, addr netip.Addr) int {
			return run.Last.Compare(addr)
		})
		if in := i < len(runs) && !addr.Less(runs[i].First); in != bound {
			t.Errorf("%s: in a run %v, found by Lookup %v", addr, in, bound)
		} else if bound {
			want.First, want.Last = runs[i].First, runs[i].Last
			if runs[i] != want {
				t.Errorf("%s is in the run %v; Lookup finds %v", addr, runs[i], want)
			}
		}
	}
}

// uncut returns the binding that run was cut from.
func uncut(t *testing.T, reg *registry.Registry, run registry.Binding) registry.Binding {
	t.Helper()
	b, ok := reg.Lookup(run.First)
	if !ok {
		t.Errorf("Lookup does not find %v", run)
	}
	return b
}
