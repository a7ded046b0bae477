package registry_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder/registry"
)

const (
	macA = "02:00:00:00:00:0a"
	macB = "02:00:00:00:00:0b"
	macC = "02:00:00:00:00:0c"
)

// checkLookup expects owner to own addr, or no MAC if owner is empty. Lookup must agree with Owner, which the decision
// uses.
func checkLookup(t *testing.T, reg *registry.Registry, addr, owner string) {
	t.Helper()
	want := registry.MAC{}
	if owner != "" {
		want = mac(owner)
	}
	b, ok := reg.Lookup(ip(addr))
	if ok != (owner != "") || b.MAC != want {
		t.Errorf("Lookup(%s) is %v, %v; want %q", addr, b, ok, owner)
	}
	o, ok2 := reg.Owner(registry.IPv4Of(ip(addr)))
	if o.MAC != b.MAC || ok2 != ok || !reg.Admits(o, b.Port) || reg.Admits(o, "another") != (b.Port == "") {
		t.Errorf("%s: Lookup returns %s %q %v, Owner %+v %v", addr, b.MAC, b.Port, ok, o, ok2)
	}
}

func TestLookup(t *testing.T) {
	type lookups map[string]string // by address: the owner's MAC, empty for none
	tests := []struct {
		name     string
		bindings []registry.Binding
		want     lookups
	}{
		{
			"no binding", nil,
			lookups{"0.0.0.0": "", "0.0.0.1": "", "10.0.0.1": "", "255.255.255.255": ""},
		},
		{
			"one address",
			[]registry.Binding{bind("10.0.0.1", macA)},
			lookups{"10.0.0.1": macA, "10.0.0.0": "", "10.0.0.2": "", "10.0.0.65": "", "11.0.0.1": "", "0.0.0.0": ""},
		},
		{
			"addresses far apart",
			[]registry.Binding{bind("1.0.0.0", macA), bind("126.255.255.255", macB), bind("223.255.255.255", macC)},
			lookups{
				"1.0.0.0": macA, "126.255.255.255": macB, "223.255.255.255": macC,
				"0.255.255.255": "", "1.0.0.1": "", "127.0.0.0": "", "224.0.0.0": "", "255.255.255.255": "",
			},
		},
		{
			"the widest ranges",
			[]registry.Binding{bind("1.0.0.0-126.255.255.255", macA), bind("128.0.0.0-223.255.255.255", macB)},
			lookups{
				"0.0.0.0": "", "0.255.255.255": "", "1.0.0.0": macA, "64.0.0.0": macA, "126.255.255.255": macA,
				"127.0.0.0": "", "127.255.255.255": "", "128.0.0.0": macB, "191.255.255.255": macB,
				"192.0.0.0": macB, "223.255.255.255": macB, "224.0.0.0": "", "255.255.255.255": "",
			},
		},
		{
			"an address in a range",
			[]registry.Binding{bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.7", macB)},
			lookups{"10.0.0.6": macA, "10.0.0.7": macB, "10.0.0.8": macA, "10.0.1.0": "", "9.255.255.255": ""},
		},
		{
			"addresses at both ends of a range",
			[]registry.Binding{bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.0", macB), bind("10.0.0.255", macC)},
			lookups{"10.0.0.0": macB, "10.0.0.1": macA, "10.0.0.254": macA, "10.0.0.255": macC},
		},
		{
			"a narrower range in a wider one",
			[]registry.Binding{bind("10.0.0.0-10.255.255.255", macA), bind("10.9.0.0-10.9.255.255", macB)},
			lookups{
				"10.8.255.255": macA, "10.9.0.0": macB, "10.9.255.255": macB, "10.10.0.0": macA,
				"10.255.255.255": macA, "11.0.0.0": "",
			},
		},
		{
			"three ranges and an address, nested",
			[]registry.Binding{
				bind("10.0.0.0-10.0.255.255", macA), bind("10.0.1.0-10.0.1.255", macB),
				bind("10.0.1.64-10.0.1.127", macC), bind("10.0.1.100", macA),
			},
			lookups{
				"10.0.0.255": macA, "10.0.1.0": macB, "10.0.1.63": macB, "10.0.1.64": macC, "10.0.1.99": macC,
				"10.0.1.100": macA, "10.0.1.101": macC, "10.0.1.127": macC, "10.0.1.128": macB,
				"10.0.1.255": macB, "10.0.2.0": macA,
			},
		},
		{
			"nested, with the same start",
			[]registry.Binding{
				bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.0-10.0.0.15", macB), bind("10.0.0.0", macC),
			},
			lookups{"10.0.0.0": macC, "10.0.0.1": macB, "10.0.0.15": macB, "10.0.0.16": macA, "10.0.0.255": macA},
		},
		{
			"nested, with the same end",
			[]registry.Binding{bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.240-10.0.0.255", macB)},
			lookups{"10.0.0.239": macA, "10.0.0.240": macB, "10.0.0.255": macB, "10.0.1.0": ""},
		},
		{
			"the narrower one starts first and overlaps",
			[]registry.Binding{bind("10.0.0.0-10.0.0.99", macA), bind("10.0.0.50-10.0.0.255", macB)},
			lookups{"10.0.0.49": macA, "10.0.0.50": macA, "10.0.0.99": macA, "10.0.0.100": macB, "10.0.0.255": macB},
		},
		{
			"the wider one starts first and overlaps",
			[]registry.Binding{bind("10.0.0.0-10.0.0.199", macA), bind("10.0.0.150-10.0.0.255", macB)},
			lookups{"10.0.0.149": macA, "10.0.0.150": macB, "10.0.0.255": macB},
		},
		{
			"the narrowest of three ends first",
			[]registry.Binding{
				bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.10-10.0.0.59", macB),
				bind("10.0.0.20-10.0.0.29", macC),
			},
			lookups{"10.0.0.9": macA, "10.0.0.19": macB, "10.0.0.25": macC, "10.0.0.30": macB, "10.0.0.60": macA},
		},
		{
			"adjacent ranges of one size",
			[]registry.Binding{bind("10.0.0.0-10.0.0.63", macA), bind("10.0.0.64-10.0.0.127", macB)},
			lookups{"10.0.0.0": macA, "10.0.0.63": macA, "10.0.0.64": macB, "10.0.0.127": macB, "10.0.0.128": ""},
		},
		{
			"adjacent ranges off the powers of two",
			[]registry.Binding{bind("10.0.0.3-10.0.4.4", macA), bind("10.0.4.5-10.0.8.6", macB)},
			lookups{
				"10.0.0.2": "", "10.0.0.3": macA, "10.0.4.4": macA, "10.0.4.5": macB, "10.0.8.6": macB, "10.0.8.7": "",
			},
		},
		{
			"in any order",
			[]registry.Binding{bind("10.0.0.9", macC), bind("10.0.0.0-10.0.0.255", macB), bind("10.0.0.1", macA)},
			lookups{"10.0.0.1": macA, "10.0.0.9": macC, "10.0.0.2": macB},
		},
		{
			"several addresses of one owner",
			[]registry.Binding{bind("10.0.0.1", macA), bind("10.0.0.2", macA)},
			lookups{"10.0.0.1": macA, "10.0.0.2": macA, "10.0.0.3": ""},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reg := registrytest.New(t, tt.bindings...)
			for addr, owner := range tt.want {
				checkLookup(t, reg, addr, owner)
			}
			if reg.Len() != len(tt.bindings) {
				t.Errorf("Len is %d; want %d", reg.Len(), len(tt.bindings))
			}
		})
	}
}

// TestLookupReturnsBinding expects the binding with all its fields, as it was added.
func TestLookupReturnsBinding(t *testing.T) {
	want := registry.Binding{
		First: ip("10.0.0.16"), Last: ip("10.0.0.31"), MAC: mac(macA), Name: "db", Port: "vnet3",
		Origin: registry.Origin{Source: "lab.yaml", Line: 7},
	}
	reg := registrytest.New(t, bind("10.0.0.0-10.0.0.255", macB), want)
	got, ok := reg.Lookup(ip("10.0.0.20"))
	if diff := cmp.Diff(want, got, comparable); !ok || diff != "" {
		t.Errorf("Lookup: %v (-want +got):\n%s", ok, diff)
	}
	for _, addr := range []netip.Addr{{}, ip("::1"), ip("::ffff:10.0.0.20")} {
		if b, ok := reg.Lookup(addr); ok {
			t.Errorf("Lookup(%s), which is not IPv4, found %v", addr, b)
		}
	}
}

func TestZeroRegistry(t *testing.T) {
	var reg registry.Registry
	checkLookup(t, &reg, "10.0.0.1", "")
	checkLookup(t, &reg, "0.0.0.0", "")
}

func TestAll(t *testing.T) {
	sorted := []registry.Binding{
		bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.0-10.0.0.15", macB), bind("10.0.0.0", macC),
		bind("10.0.0.9", macA), bind("10.0.0.10-10.0.0.12", macA), bind("192.168.0.1", macA),
	}
	shuffled := slices.Clone(sorted)
	slices.Reverse(shuffled)
	reg := registrytest.New(t, shuffled...)
	got := slices.Collect(reg.All())
	if diff := cmp.Diff(sorted, got, comparable); diff != "" {
		t.Errorf("All (-want +got):\n%s", diff)
	}
	for b := range reg.All() {
		if b != sorted[0] {
			t.Errorf("the first of All is %v", b)
		}
		break
	}
}

// TestLookupLikeModel compares registries of random bindings with a linear search.
func TestLookupLikeModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		bindings := registrytest.Random(rng, 1+rng.IntN(60))
		reg := registrytest.New(t, bindings...)
		for _, addr := range registrytest.Addrs(rng, bindings) {
			want := ""
			if b := registrytest.Narrowest(bindings, addr); b != nil {
				want = b.MAC.String()
			}
			checkLookup(t, reg, addr.String(), want)
		}
		if t.Failed() {
			t.Fatalf("round %d: %v", round, bindings)
		}
	}
}

// TestRangeIsKeptOnce expects one owner for a range of many addresses, if no boundary of the trie cuts it.
func TestRangeIsKeptOnce(t *testing.T) {
	var bindings []registry.Binding
	for i := range uint32(1000) {
		first := 10<<24 + i*16
		bindings = append(bindings, registry.Binding{First: registrytest.Addr(first), Last: registrytest.Addr(first + 15), MAC: registrytest.MACOf(i)})
	}
	if got := registrytest.New(t, bindings...).Leaves(); got != len(bindings) {
		t.Errorf("%d owners for %d ranges", got, len(bindings))
	}
}

func TestNewErrors(t *testing.T) {
	at := func(line int, b registry.Binding) registry.Binding {
		b.Origin = registry.Origin{Source: "lab.yaml", Line: line}
		return b
	}
	with := func(b registry.Binding, change func(*registry.Binding)) registry.Binding {
		change(&b)
		return b
	}
	ok := bind("10.0.0.1", macA)
	tests := []struct {
		name     string
		bindings []registry.Binding
		want     []string
	}{
		{
			"IPv6",
			[]registry.Binding{bind("fe80::1", macA)},
			[]string{"fe80::1 is-at 02:00:00:00:00:0a: not an IPv4 address"},
		},
		{
			"IPv4 in IPv6",
			[]registry.Binding{bind("::ffff:10.0.0.1", macA)},
			[]string{"::ffff:10.0.0.1 is-at 02:00:00:00:00:0a: not an IPv4 address"},
		},
		{
			"no last address",
			[]registry.Binding{{First: ip("10.0.0.1"), MAC: mac(macA)}},
			[]string{"10.0.0.1-invalid IP is-at 02:00:00:00:00:0a: not an IPv4 address"},
		},
		{
			"range from IPv4 to IPv6",
			[]registry.Binding{bind("10.0.0.1-fe80::1", macA)},
			[]string{"10.0.0.1-fe80::1 is-at 02:00:00:00:00:0a: not an IPv4 address"},
		},
		{
			"range backwards",
			[]registry.Binding{bind("10.0.0.9-10.0.0.1", macA)},
			[]string{"10.0.0.9-10.0.0.1 is-at 02:00:00:00:00:0a: " +
				"the range ends before it starts (10.0.0.9-10.0.0.1)"},
		},
		{
			"0.0.0.0",
			[]registry.Binding{bind("0.0.0.0", macA)},
			[]string{"0.0.0.0 is-at 02:00:00:00:00:0a: 0.0.0.0 is in 0.0.0.0/8, which no host can have"},
		},
		{
			"everything",
			[]registry.Binding{bind("0.0.0.0-255.255.255.255", macA)},
			[]string{"0.0.0.0-255.255.255.255 is-at 02:00:00:00:00:0a: " +
				"0.0.0.0 is in 0.0.0.0/8, which no host can have"},
		},
		{
			"loopback",
			[]registry.Binding{bind("127.0.0.1", macA)},
			[]string{"127.0.0.1 is-at 02:00:00:00:00:0a: 127.0.0.1 is in 127.0.0.0/8, the loopback network"},
		},
		{
			"range across loopback",
			[]registry.Binding{bind("126.0.0.0-128.0.0.0", macA)},
			[]string{"126.0.0.0-128.0.0.0 is-at 02:00:00:00:00:0a: " +
				"127.0.0.0 is in 127.0.0.0/8, the loopback network"},
		},
		{
			"multicast",
			[]registry.Binding{bind("224.0.0.1", macA)},
			[]string{"224.0.0.1 is-at 02:00:00:00:00:0a: 224.0.0.1 is a multicast or reserved address"},
		},
		{
			"range into multicast",
			[]registry.Binding{bind("223.255.255.255-224.0.0.0", macA)},
			[]string{"223.255.255.255-224.0.0.0 is-at 02:00:00:00:00:0a: " +
				"224.0.0.0 is a multicast or reserved address"},
		},
		{
			"limited broadcast",
			[]registry.Binding{bind("255.255.255.255", macA)},
			[]string{"255.255.255.255 is-at 02:00:00:00:00:0a: " +
				"255.255.255.255 is a multicast or reserved address"},
		},
		{
			"MAC zero",
			[]registry.Binding{with(ok, func(b *registry.Binding) { b.MAC = registry.MAC{} })},
			[]string{"10.0.0.1 is-at 00:00:00:00:00:00: 00:00:00:00:00:00 is not a unicast MAC " +
				"(it is zero, broadcast or multicast)"},
		},
		{
			"MAC multicast",
			[]registry.Binding{bind("10.0.0.1", "01:00:5e:00:00:01")},
			[]string{"10.0.0.1 is-at 01:00:5e:00:00:01: 01:00:5e:00:00:01 is not a unicast MAC " +
				"(it is zero, broadcast or multicast)"},
		},
		{
			"duplicate",
			[]registry.Binding{ok, bind("10.0.0.1", macB)},
			[]string{"10.0.0.1 is-at 02:00:00:00:00:0b: the address is bound twice"},
		},
		{
			"the same binding twice",
			[]registry.Binding{at(3, ok), at(9, ok)},
			[]string{"lab.yaml:9: 10.0.0.1 is-at 02:00:00:00:00:0a: the address is bound twice (see lab.yaml:3)"},
		},
		{
			"three of one address, the last line first",
			[]registry.Binding{at(9, ok), at(5, ok), at(3, ok)},
			[]string{
				"lab.yaml:5: 10.0.0.1 is-at 02:00:00:00:00:0a: the address is bound twice (see lab.yaml:3)",
				"lab.yaml:9: 10.0.0.1 is-at 02:00:00:00:00:0a: the address is bound twice (see lab.yaml:3)",
			},
		},
		{
			"the same range twice",
			[]registry.Binding{at(1, bind("10.0.0.0-10.0.0.9", macA)), at(2, bind("10.0.0.0-10.0.0.9", macB))},
			[]string{"lab.yaml:2: 10.0.0.0-10.0.0.9 is-at 02:00:00:00:00:0b: overlaps 10.0.0.0-10.0.0.9, " +
				"which is of the same size, so neither wins (see lab.yaml:1)"},
		},
		{
			"ranges of one size that share one address",
			[]registry.Binding{bind("10.0.0.0-10.0.0.9", macA), bind("10.0.0.9-10.0.0.18", macB)},
			[]string{"10.0.0.9-10.0.0.18 is-at 02:00:00:00:00:0b: overlaps 10.0.0.0-10.0.0.9, " +
				"which is of the same size, so neither wins"},
		},
		{
			"a chain of ranges of one size, a narrower one between",
			[]registry.Binding{
				bind("10.0.0.0-10.0.0.9", macA), bind("10.0.0.2-10.0.0.3", macC),
				bind("10.0.0.5-10.0.0.14", macB), bind("10.0.0.12-10.0.0.21", macA),
			},
			[]string{
				"10.0.0.12-10.0.0.21 is-at 02:00:00:00:00:0a: overlaps 10.0.0.5-10.0.0.14, " +
					"which is of the same size, so neither wins",
				"10.0.0.5-10.0.0.14 is-at 02:00:00:00:00:0b: overlaps 10.0.0.0-10.0.0.9, " +
					"which is of the same size, so neither wins",
			},
		},
		{
			"everything wrong at once, and something right",
			[]registry.Binding{
				at(1, bind("::1", macA)), at(2, ok), at(3, bind("10.0.0.1", macB)),
				at(4, bind("10.0.1.0-10.0.1.1", macA)), at(5, bind("10.0.1.1-10.0.1.2", macA)),
				at(6, bind("127.0.0.1", macA)),
			},
			[]string{
				"lab.yaml:1: ::1 is-at 02:00:00:00:00:0a: not an IPv4 address",
				"lab.yaml:3: 10.0.0.1 is-at 02:00:00:00:00:0b: the address is bound twice (see lab.yaml:2)",
				"lab.yaml:5: 10.0.1.1-10.0.1.2 is-at 02:00:00:00:00:0a: overlaps 10.0.1.0-10.0.1.1, " +
					"which is of the same size, so neither wins (see lab.yaml:4)",
				"lab.yaml:6: 127.0.0.1 is-at 02:00:00:00:00:0a: 127.0.0.1 is in 127.0.0.0/8, the loopback network",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reg, err := registry.New(slices.Values(tt.bindings))
			if reg != nil {
				t.Error("New returned a registry and an error")
			}
			var got []string
			for _, e := range bindingErrors(t, err) {
				got = append(got, e.Error())
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func bindingErrors(t *testing.T, err error) registry.BindingErrors {
	t.Helper()
	var problems registry.BindingErrors
	if !errors.As(err, &problems) {
		t.Fatalf("error is %v; want BindingErrors", err)
	}
	return problems
}

func TestBindingErrors(t *testing.T) {
	first, second := bind("10.0.0.1", macA), bind("10.0.0.1", macB)
	_, err := registry.New(slices.Values([]registry.Binding{first, second, bind("::1", macC)}))
	want := "::1 is-at 02:00:00:00:00:0c: not an IPv4 address\n" +
		"10.0.0.1 is-at 02:00:00:00:00:0b: the address is bound twice"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v; want %s", err, want)
	}
	problems := bindingErrors(t, err)
	if len(problems) != 2 || problems[0].With != nil || problems[1].With == nil || *problems[1].With != first {
		t.Errorf("problems are %+v; want one without With, and one with the first binding", problems)
	}
}

// TestConflictsLikeModel compares the reported conflicts with those that a search of all pairs finds.
func TestConflictsLikeModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var bindings []registry.Binding
		for line := range 1 + rng.IntN(40) {
			first := 10<<24 + rng.Uint32N(200)
			bindings = append(bindings, registry.Binding{
				First: registrytest.Addr(first), Last: registrytest.Addr(first + rng.Uint32N(4)*5), MAC: mac(macA),
				Origin: registry.Origin{Source: "lab.yaml", Line: 1 + line},
			})
		}
		want := map[int]bool{} // lines
		for _, a := range bindings {
			for _, b := range bindings {
				later := a.First.Less(b.First) || a.First == b.First && a.Origin.Line < b.Origin.Line
				if later && registrytest.Size(a) == registrytest.Size(b) && registrytest.Overlap(a, b) {
					want[b.Origin.Line] = true
				}
			}
		}
		_, err := registry.New(slices.Values(bindings))
		got := map[int]bool{}
		if err != nil {
			for _, e := range bindingErrors(t, err) {
				got[e.Binding.Origin.Line] = true
				if e.With == nil || !registrytest.Overlap(e.Binding, *e.With) || registrytest.Size(e.Binding) != registrytest.Size(*e.With) {
					t.Fatalf("%v is reported to conflict with %v", e.Binding, e.With)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("lines with conflicts of %v (-want +got):\n%s", bindings, diff)
		}
	}
}

func TestTooManyPorts(t *testing.T) {
	const most = 1<<16 - 1
	var bindings []registry.Binding
	for i := range uint32(most + 1) {
		addr := registrytest.Addr(10<<24 + i)
		bindings = append(bindings, registry.Binding{
			First: addr, Last: addr, MAC: mac(macA), Port: fmt.Sprintf("vnet%d", i),
		})
	}
	reg := registrytest.New(t, bindings[:most]...)
	if b, ok := reg.Lookup(bindings[most-1].First); !ok || b.Port != "vnet65534" {
		t.Errorf("the last binding is %v, %v", b, ok)
	}
	_, err := registry.New(slices.Values(bindings))
	want := "10.0.255.255 is-at 02:00:00:00:00:0a: the bindings name more than 65535 ports"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v; want %s", err, want)
	}
}

func TestBindingString(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{bind("10.0.0.1", macA).String(), "10.0.0.1 is-at 02:00:00:00:00:0a"},
		{bind("10.0.0.1-10.0.0.9", macA).String(), "10.0.0.1-10.0.0.9 is-at 02:00:00:00:00:0a"},
		{registry.Origin{}.String(), ""},
		{registry.Origin{Source: "ethers", Line: 12}.String(), "ethers:12"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q; want %q", tt.got, tt.want)
		}
	}
}
