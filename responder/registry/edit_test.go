package registry_test

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder/registry"
)

func TestEdit(t *testing.T) {
	db := bind("10.0.0.7", macB)
	db.Name, db.Port, db.Origin = "db", "vnet3", registry.Origin{Source: "store"}
	wide := bind("10.0.0.0-10.0.0.255", macA)
	tests := []struct {
		name                string
		before, remove, add []registry.Binding
		want                []registry.Binding
	}{
		{"nothing", []registry.Binding{wide}, nil, nil, []registry.Binding{wide}},
		{"the first binding", nil, nil, []registry.Binding{db}, []registry.Binding{db}},
		{"the last binding is removed", []registry.Binding{db}, []registry.Binding{db}, nil, nil},
		{"an address in a range", []registry.Binding{wide}, nil, []registry.Binding{db}, []registry.Binding{wide, db}},
		{"an address removed from a range", []registry.Binding{wide, db}, []registry.Binding{db}, nil, []registry.Binding{wide}},
		{"another owner", []registry.Binding{bind("10.0.0.7", macC)}, []registry.Binding{db}, []registry.Binding{db}, []registry.Binding{db}},
		{"a range is added", []registry.Binding{db}, nil, []registry.Binding{wide}, []registry.Binding{wide, db}},
		{"a range is removed", []registry.Binding{wide, db}, []registry.Binding{wide}, nil, []registry.Binding{db}},
		{
			"another block", []registry.Binding{db}, nil, []registry.Binding{bind("10.9.0.1", macA), bind("9.0.0.1", macC)},
			[]registry.Binding{bind("9.0.0.1", macC), db, bind("10.9.0.1", macA)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := registrytest.New(t, tt.before...)
			kept := slices.Collect(before.All())
			after, err := before.Edit(tt.remove, tt.add)
			if err != nil {
				t.Fatal(err)
			}
			checkSame(t, "edited", after, registrytest.New(t, tt.want...))
			if got := slices.Collect(before.All()); !slices.Equal(got, kept) {
				t.Errorf("Edit changed the original registry to %v", got)
			}
		})
	}
}

// checkSame expects two registries to return the same from all methods.
func checkSame(t *testing.T, what string, got, want *registry.Registry) {
	t.Helper()
	if diff := cmp.Diff(slices.Collect(want.All()), slices.Collect(got.All()), comparable); diff != "" {
		t.Errorf("%s: All (-want +got):\n%s", what, diff)
	}
	if diff := cmp.Diff(slices.Collect(want.Owners()), slices.Collect(got.Owners()), comparable); diff != "" {
		t.Errorf("%s: Owners (-want +got):\n%s", what, diff)
	}
	if g, w := routesOf(got.Routes()), routesOf(want.Routes()); !maps.Equal(g, w) {
		t.Errorf("%s: Routes are %v; want %v", what, g, w)
	}
	if g, w := routesOf(got.RoutesTo()), routesOf(want.RoutesTo()); !maps.Equal(g, w) {
		t.Errorf("%s: RoutesTo are %v; want %v", what, g, w)
	}
	if got.Len() != want.Len() {
		t.Errorf("%s: Len is %d; want %d", what, got.Len(), want.Len())
	}
	if g, w := macsOf(got), macsOf(want); !slices.Equal(g, w) {
		t.Errorf("%s: MACs are %v; want %v", what, g, w)
	}
	for b := range want.All() {
		if b.IsAlone() {
			if g, ok := got.LookupAlone(b.MAC); !ok || g != b {
				t.Errorf("%s: LookupAlone returns %v; want %v", what, g, b)
			}
		}
		if g, w := portsOf(got, b.MAC), portsOf(want, b.MAC); !slices.Equal(g, w) {
			t.Errorf("%s: %s has the ports %q; want %q", what, b.MAC, g, w)
		}
		if g, w := got.MaySend(b.MAC, b.Port), want.MaySend(b.MAC, b.Port); g != w || got.IsRegistered(b.MAC) != want.IsRegistered(b.MAC) {
			t.Errorf("%s: %s may send from port %q: %v; want %v", what, b.MAC, b.Port, g, w)
		}
	}
}

func portsOf(r *registry.Registry, mac registry.MAC) []string { return slices.Sorted(r.PortsOf(mac)) }

func macsOf(r *registry.Registry) []string {
	var macs []string
	for m := range r.MACs() {
		macs = append(macs, m.String())
	}
	return slices.Sorted(slices.Values(macs))
}

func TestEditErrors(t *testing.T) {
	before := registrytest.New(t, bind("10.0.0.1", macA), bind("10.0.0.0-10.0.0.255", macB))
	_, err := before.Edit(
		[]registry.Binding{bind("10.0.0.9", macA), bind("10.0.0.0-10.0.0.99", macA), bind("::1", macA)},
		[]registry.Binding{bind("10.0.0.1", macC), bind("10.0.0.8-10.0.1.7", macC), bind("127.0.0.1", macC)},
	)
	got := strings.Split(err.Error(), "\n")
	slices.Sort(got)
	want := []string{
		"10.0.0.0-10.0.0.99 is-at 02:00:00:00:00:0a: no binding has exactly the addresses 10.0.0.0-10.0.0.99",
		"10.0.0.1 is-at 02:00:00:00:00:0c: the address is bound twice",
		"10.0.0.8-10.0.1.7 is-at 02:00:00:00:00:0c: overlaps 10.0.0.0-10.0.0.255, which is of the same size, so neither wins",
		"10.0.0.9 is-at 02:00:00:00:00:0a: no binding has exactly the addresses 10.0.0.9",
		"127.0.0.1 is-at 02:00:00:00:00:0c: 127.0.0.1 is in 127.0.0.0/8, the loopback network",
		"::1 is-at 02:00:00:00:00:0a: not an IPv4 address",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// TestTwoEditsOfOne edits one registry twice, each time adding a port, a source and a name, and expects the results to be
// independent.
func TestTwoEditsOfOne(t *testing.T) {
	before := registrytest.New(t, bind("10.0.0.1", macA))
	var edited []*registry.Registry
	for _, text := range []string{"a", "b"} {
		b := bind("10.0.0.2", macB)
		b.Name, b.Port, b.Origin.Source = text, text, text
		after, err := before.Edit(nil, []registry.Binding{b})
		if err != nil {
			t.Fatal(err)
		}
		edited = append(edited, after)
	}
	for i, text := range []string{"a", "b"} {
		b, _ := edited[i].Lookup(ip("10.0.0.2"))
		if b.Name != text || b.Port != text || b.Origin.Source != text {
			t.Errorf("edit %s has %+v", text, b)
		}
	}
}

// TestEditAndDiffLikeModel edits random registries and a list of bindings in parallel, and compares the differences
// with a search address by address.
func TestEditAndDiffLikeModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 100 {
		all := registrytest.Random(rng, 60)
		for i := range rng.Uint32N(8) {
			all = append(all, registry.Binding{MAC: registrytest.MACOf(1<<20 + i)})
		}
		for i := range all {
			if rng.IntN(3) == 0 {
				all[i].Port = fmt.Sprintf("vnet%d", rng.IntN(4))
			}
			if rng.IntN(8) == 0 {
				all[i].Routes = randomRoutes(rng)
			}
			if rng.IntN(8) == 0 && !all[i].IsAlone() {
				all[i].Candidates = registry.MACsOf(registrytest.MACOf(1<<21+rng.Uint32N(4)), all[i].MAC)
			}
		}
		in := slices.Clone(all[:rng.IntN(len(all)+1)])
		reg := registrytest.New(t, in...)
		for range 10 {
			var remove, add, next []registry.Binding
			for _, b := range in {
				if rng.IntN(5) == 0 {
					remove = append(remove, b)
				} else {
					next = append(next, b)
				}
			}
			for _, b := range all {
				b.MAC = registrytest.MACOf(rng.Uint32N(8)) // of another, or of several
				if !b.Candidates.IsEmpty() {
					b.Candidates = registry.MACsOf(b.MAC, registrytest.MACOf(1<<21+rng.Uint32N(4)))
				}
				if rng.IntN(5) == 0 && !registrytest.Conflicts(next, b) {
					add, next = append(add, b), append(next, b)
				}
			}
			after, err := reg.Edit(remove, add)
			if err != nil {
				t.Fatal(err)
			}
			fresh := registrytest.New(t, next...)
			checkSame(t, "edited", after, fresh)
			checkRouters(t, after, next, registrytest.Addrs(rng, all))
			checkCandidates(t, after, next, registrytest.Addrs(rng, all))
			checkDiff(t, reg, after, registrytest.Addrs(rng, append(all, next...)))
			checkDiff(t, reg, fresh, registrytest.Addrs(rng, all))
			if t.Failed() {
				t.Fatalf("%v\nless %v\nand  %v", in, remove, add)
			}
			reg, in = after, next
		}
	}
}

// checkDiff expects Removed and Added to lead from the runs of one registry to those of the other, and Moved to yield
// exactly the addresses with another MAC.
func checkDiff(t *testing.T, before, after *registry.Registry, addrs []netip.Addr) {
	t.Helper()
	d := registry.Diff(before, after)
	had, has := runsOf(before.Owners()), runsOf(after.Owners())
	removed, added := runsOf(d.Removed()), runsOf(d.Added())
	for run := range had {
		if has[run] == removed[run] {
			t.Errorf("%+v: removed %v, in the second registry %v", run, removed[run], has[run])
		}
	}
	for run := range has {
		if had[run] == added[run] {
			t.Errorf("%+v: added %v, in the first registry %v", run, added[run], had[run])
		}
	}
	for run := range removed {
		if !had[run] {
			t.Errorf("%+v is removed, but not in the first registry", run)
		}
	}
	for run := range added {
		if !has[run] {
			t.Errorf("%+v is added, but not in the second registry", run)
		}
	}
	checkListed(t, before, after, d)
	moved := slices.Collect(d.Moved())
	for _, addr := range addrs {
		was, had := before.Lookup(addr)
		is, has := after.Lookup(addr)
		i := slices.IndexFunc(moved, func(b registry.Binding) bool { return !addr.Less(b.First) && !b.Last.Less(addr) })
		if want := had && has && was.MAC != is.MAC; want != (i >= 0) || want && moved[i].MAC != is.MAC {
			t.Errorf("%s: %v before, %v after; moved are %v", addr, was, is, moved)
		}
	}
}

// checkListed expects the difference to name each MAC whose ports differ, and not to be empty if routes do.
func checkListed(t *testing.T, before, after *registry.Registry, d registry.Difference) {
	t.Helper()
	differs := !maps.Equal(routesOf(before.Routes()), routesOf(after.Routes()))
	named := map[registry.MAC]bool{}
	for m := range d.ListedMACs() {
		named[m] = true
	}
	for _, runs := range []iter.Seq[registry.Binding]{d.Removed(), d.Added()} {
		for b := range runs {
			named[b.MAC] = true
		}
	}
	for _, r := range []*registry.Registry{before, after} {
		for m := range r.MACs() {
			if isSame := slices.Equal(portsOf(before, m), portsOf(after, m)); !isSame {
				differs = true
				if !named[m] {
					t.Errorf("the ports of %s differ, and the difference does not name it", m)
				}
			}
		}
	}
	if differs && d.IsEmpty() {
		t.Error("routes or ports differ, and the difference is empty")
	}
}

// A span holds the fields of a run that Diff compares.
type span struct {
	first, last netip.Addr
	mac         registry.MAC
	port        string
}

func runsOf(runs func(func(registry.Binding) bool)) map[span]bool {
	all := map[span]bool{}
	for b := range runs {
		all[span{b.First, b.Last, b.MAC, b.Port}] = true
	}
	return all
}

func TestDiffYieldsEachRunOnce(t *testing.T) {
	before := registrytest.New(t, bind("10.0.0.0-10.0.0.255", macA))
	after := registrytest.New(t, bind("10.0.0.1", macA), bind("10.0.0.200", macB))
	for _, d := range []registry.Difference{registry.Diff(before, after), registry.Diff(after, before)} {
		for _, list := range [][]registry.Binding{slices.Collect(d.Removed()), slices.Collect(d.Added())} {
			if len(runsOf(slices.Values(list))) != len(list) {
				t.Errorf("a run is yielded twice: %v", list)
			}
		}
	}
}

// TestNamesMakeNoDifference expects Diff to compare owners only.
func TestNamesMakeNoDifference(t *testing.T) {
	named := bind("10.0.0.1", macA)
	named.Name, named.Origin = "app", registry.Origin{Source: "lab.yaml", Line: 3}
	d := registry.Diff(registrytest.New(t, bind("10.0.0.1", macA)), registrytest.New(t, named))
	if runs := slices.Collect(d.Added()); len(runs) > 0 {
		t.Errorf("added are %v", runs)
	}
}

// BenchmarkEdit changes one binding of many, and compares the two registries.
func BenchmarkEdit(b *testing.B) {
	for _, n := range []uint32{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("bindings=%d", n), func(b *testing.B) {
			reg := registrytest.Many(b, n, 1)
			b.ReportAllocs()
			for i := uint32(0); b.Loop(); i++ {
				old, _ := reg.Lookup(registrytest.Addr(registrytest.FirstIP + i*7919%n))
				changed := old
				changed.MAC = registrytest.MACOf(n + i)
				next, err := reg.Edit([]registry.Binding{old}, []registry.Binding{changed})
				if err != nil {
					b.Fatal(err)
				}
				if added := slices.Collect(registry.Diff(reg, next).Added()); len(added) != 1 {
					b.Fatal(added)
				}
				reg = next
			}
		})
	}
}

// BenchmarkDiff compares two registries that share no blocks, as after a reload of a file.
func BenchmarkDiff(b *testing.B) {
	before, after := registrytest.Many(b, 100_000, 1), registrytest.Many(b, 100_000, 1)
	for b.Loop() {
		if added := slices.Collect(registry.Diff(before, after).Added()); len(added) != 0 {
			b.Fatal(added)
		}
	}
}

// TestEditsLeaveNoNamesBehind gives one binding another port each time, and another source, more often than there is
// room for names.
func TestEditsLeaveNoNamesBehind(t *testing.T) {
	b := bind("10.0.0.1", macA)
	reg := registrytest.New(t, b)
	for i := range 70_000 {
		next := b
		next.Port, next.Origin.Source = fmt.Sprintf("vnet%d", i), fmt.Sprintf("key@%d", i)
		edited, err := reg.Edit([]registry.Binding{b}, []registry.Binding{next})
		if err != nil {
			t.Fatalf("edit %d: %v", i, err)
		}
		reg, b = edited, next
	}
	if got, _ := reg.Lookup(b.First); got != b {
		t.Errorf("there is %+v; want %+v", got, b)
	}
	if n := reg.Names(); n > 4096 {
		t.Errorf("one binding has left %d names", n)
	}
}

// TestEditBlamesWhatItAdds holds that a conflict with a binding that is there is the added one's.
func TestEditBlamesWhatItAdds(t *testing.T) {
	at := func(b registry.Binding, source string) registry.Binding {
		b.Origin.Source = source
		return b
	}
	reg := registrytest.New(t, at(bind("10.0.0.1", macA), "b"), at(bind("10.0.0.0-10.0.0.9", macA), "b"))
	_, err := reg.Edit(nil, []registry.Binding{at(bind("10.0.0.1", macB), ""), at(bind("10.0.0.0-10.0.0.9", macB), "")})
	for _, e := range bindingErrors(t, err) {
		if e.Binding.MAC != mac(macB) || e.With == nil || e.With.Origin.Source != "b" {
			t.Errorf("%v conflicts with %v", e.Binding, e.With)
		}
	}
}

func TestEditRemovesByAddressesAlone(t *testing.T) {
	reg := registrytest.New(t, bind("10.0.0.1", macA), bind("10.0.0.0-10.0.0.9", macB))
	edited, err := reg.Edit([]registry.Binding{{First: ip("10.0.0.1"), Last: ip("10.0.0.1")}, {First: ip("10.0.0.0"), Last: ip("10.0.0.9")}}, nil)
	if err != nil || edited.Len() != 0 {
		t.Errorf("%d bindings are left, error %v", edited.Len(), err)
	}
}

// BenchmarkDiffScattered compares registries of which every fourth binding has another owner, in a wide range.
func BenchmarkDiffScattered(b *testing.B) {
	before := registrytest.Many(b, 1_000_000, 1)
	var remove, add []registry.Binding
	for i := uint32(0); i < 1_000_000; i += 4 {
		addr := registrytest.Addr(registrytest.FirstIP + i)
		remove = append(remove, registry.Binding{First: addr, Last: addr})
		add = append(add, registry.Binding{First: addr, Last: addr, MAC: registrytest.MACOf(1 << 30)})
	}
	wide := bind("10.0.0.0-10.255.255.255", macA)
	before, err := before.Edit(nil, []registry.Binding{wide})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		after, err := before.Edit(remove, add)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for range registry.Diff(before, after).Added() {
			n++
		}
		if n != len(add) {
			b.Fatal(n)
		}
	}
}
