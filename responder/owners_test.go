package responder_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/arpfabric/arpfabric/responder"
)

func TestOwners(t *testing.T) {
	tests := []struct {
		name     string
		bindings []responder.Binding
		want     []responder.Binding
	}{
		{"no binding", nil, nil},
		{
			"addresses, in any order",
			[]responder.Binding{bind("10.0.0.2", macB), bind("10.0.0.1", macA), bind("9.0.0.1", macC)},
			[]responder.Binding{bind("9.0.0.1", macC), bind("10.0.0.1", macA), bind("10.0.0.2", macB)},
		},
		{
			"the widest ranges",
			[]responder.Binding{bind("1.0.0.0-126.255.255.255", macA), bind("128.0.0.0-223.255.255.255", macB)},
			[]responder.Binding{bind("1.0.0.0-126.255.255.255", macA), bind("128.0.0.0-223.255.255.255", macB)},
		},
		{
			"an address cuts a range in two",
			[]responder.Binding{bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.7", macB)},
			[]responder.Binding{
				bind("10.0.0.0-10.0.0.6", macA), bind("10.0.0.7", macB), bind("10.0.0.8-10.0.0.255", macA),
			},
		},
		{
			"addresses at both ends of a range",
			[]responder.Binding{bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.0", macB), bind("10.0.0.255", macC)},
			[]responder.Binding{
				bind("10.0.0.0", macB), bind("10.0.0.1-10.0.0.254", macA), bind("10.0.0.255", macC),
			},
		},
		{
			"nested, with the same start",
			[]responder.Binding{
				bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.0-10.0.0.15", macB), bind("10.0.0.0", macC),
			},
			[]responder.Binding{
				bind("10.0.0.0", macC), bind("10.0.0.1-10.0.0.15", macB), bind("10.0.0.16-10.0.0.255", macA),
			},
		},
		{
			"wider ones that begin in a narrower one don't cut it",
			[]responder.Binding{
				bind("10.0.0.0-10.0.0.99", macA), bind("10.0.0.50-10.0.0.255", macB), bind("10.0.0.60-10.0.3.0", macC),
			},
			[]responder.Binding{
				bind("10.0.0.0-10.0.0.99", macA), bind("10.0.0.100-10.0.0.255", macB), bind("10.0.1.0-10.0.3.0", macC),
			},
		},
		{
			"a wider one and a narrower one that begin at the same address",
			[]responder.Binding{
				bind("10.0.0.0-10.0.0.99", macA), bind("10.0.0.50-10.0.0.255", macB), bind("10.0.0.50", macC),
			},
			[]responder.Binding{
				bind("10.0.0.0-10.0.0.49", macA), bind("10.0.0.50", macC), bind("10.0.0.51-10.0.0.99", macA),
				bind("10.0.0.100-10.0.0.255", macB),
			},
		},
		{
			"neighbours of one owner stay apart",
			[]responder.Binding{bind("10.0.0.1", macA), bind("10.0.0.2", macA)},
			[]responder.Binding{bind("10.0.0.1", macA), bind("10.0.0.2", macA)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := slices.Collect(registry(t, tt.bindings...).Owners())
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("Owners (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOwnersStops(t *testing.T) {
	reg := registry(t, bind("10.0.0.1", macA), bind("10.0.0.2", macB))
	for b := range reg.Owners() {
		if b != bind("10.0.0.1", macA) {
			t.Errorf("the first of Owners is %v", b)
		}
		break
	}
}

// TestOwnersLikeLookup compares the runs of random registries with what Lookup says around the ends of all
// bindings.
func TestOwnersLikeLookup(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 300 {
		bindings := randomBindings(rng, 1+rng.IntN(60))
		checkOwners(t, registry(t, bindings...), interestingAddrs(rng, bindings))
		if t.Failed() {
			t.Fatal(bindings)
		}
	}
}

// FuzzOwners does the same with all addresses of a small block that is full of ranges: each three bytes are
// where one begins, how wide it is, and whose it is.
func FuzzOwners(f *testing.F) {
	f.Add([]byte{0, 99, 1, 50, 205, 2, 60, 0, 3, 99, 1, 1})
	f.Fuzz(func(t *testing.T, ranges []byte) {
		const block, margin = 10 << 24, 2
		var bindings []responder.Binding
		for r := range slices.Chunk(ranges, 3) {
			if len(r) < 3 {
				break
			}
			first := block + uint32(r[0])
			b := responder.Binding{First: addrOf(first), Last: addrOf(first + uint32(r[1])), MAC: macOf(uint32(r[2]))}
			if !conflictsWith(bindings, b) {
				bindings = append(bindings, b)
			}
		}
		var addrs []netip.Addr
		for n := uint32(block - margin); n < block+2*256+margin; n++ {
			addrs = append(addrs, addrOf(n))
		}
		checkOwners(t, registry(t, bindings...), addrs)
	})
}

// checkOwners expects runs in order, disjoint, and no shorter than they can be, and of each of addrs the run
// that Lookup's binding gives it, or none.
func checkOwners(t *testing.T, reg *responder.Registry, addrs []netip.Addr) {
	t.Helper()
	runs := slices.Collect(reg.Owners())
	for i, run := range runs {
		if run.Last.Less(run.First) {
			t.Errorf("the run %v ends before it starts", run)
		}
		if i > 0 && !runs[i-1].Last.Less(run.First) {
			t.Errorf("%v comes before %v", runs[i-1], run)
		}
		if i > 0 && runs[i-1].Last.Next() == run.First && whole(t, reg, runs[i-1]) == whole(t, reg, run) {
			t.Errorf("%v and %v are one run", runs[i-1], run)
		}
	}
	for _, addr := range addrs {
		want, bound := reg.Lookup(addr)
		i, _ := slices.BinarySearchFunc(runs, addr, func(run responder.Binding, addr netip.Addr) int {
			return run.Last.Compare(addr)
		})
		if in := i < len(runs) && !addr.Less(runs[i].First); in != bound {
			t.Errorf("%s is in a run: %v; Lookup finds it: %v", addr, in, bound)
		} else if bound {
			want.First, want.Last = runs[i].First, runs[i].Last
			if runs[i] != want {
				t.Errorf("%s is in the run %v; Lookup finds %v", addr, runs[i], want)
			}
		}
	}
}

// whole returns the binding that run was cut from.
func whole(t *testing.T, reg *responder.Registry, run responder.Binding) responder.Binding {
	t.Helper()
	b, ok := reg.Lookup(run.First)
	if !ok {
		t.Errorf("Lookup doesn't find %v", run)
	}
	return b
}

// BenchmarkOwners goes through the runs of a million bindings. B/op is garbage of the sweep; none is kept.
func BenchmarkOwners(b *testing.B) {
	reg := manyBindings(b, 1_000_000, 1)
	b.ReportAllocs()
	for b.Loop() {
		for range reg.Owners() {
		}
	}
}
