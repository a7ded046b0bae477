package responder_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/arpfabric/arpfabric/responder"
)

const (
	macA = "02:00:00:00:00:0a"
	macB = "02:00:00:00:00:0b"
	macC = "02:00:00:00:00:0c"
)

// checkLookup expects owner to answer for addr, or nobody where owner is empty. Lookup and Handle's own
// lookup must agree.
func checkLookup(t *testing.T, reg *responder.Registry, addr, owner string) {
	t.Helper()
	want := responder.MAC{}
	if owner != "" {
		want = mac(owner)
	}
	b, ok := reg.Lookup(ip(addr))
	if ok != (owner != "") || b.MAC != want {
		t.Errorf("Lookup(%s) is %v, %v; want %q", addr, b, ok, owner)
	}
	m, port, ok2 := reg.LookupOwner(ip(addr))
	if m != b.MAC || port != b.Port || ok2 != ok {
		t.Errorf("%s: Lookup says %s %q %v, Handle's lookup %s %q %v", addr, b.MAC, b.Port, ok, m, port, ok2)
	}
}

func TestLookup(t *testing.T) {
	type lookups map[string]string // address → owner, empty for nobody
	tests := []struct {
		name     string
		bindings []responder.Binding
		want     lookups
	}{
		{
			"no binding", nil,
			lookups{"0.0.0.0": "", "0.0.0.1": "", "10.0.0.1": "", "255.255.255.255": ""},
		},
		{
			"one address",
			[]responder.Binding{bind("10.0.0.1", macA)},
			lookups{"10.0.0.1": macA, "10.0.0.0": "", "10.0.0.2": "", "10.0.0.65": "", "11.0.0.1": "", "0.0.0.0": ""},
		},
		{
			"addresses far apart",
			[]responder.Binding{bind("1.0.0.0", macA), bind("126.255.255.255", macB), bind("223.255.255.255", macC)},
			lookups{
				"1.0.0.0": macA, "126.255.255.255": macB, "223.255.255.255": macC,
				"0.255.255.255": "", "1.0.0.1": "", "127.0.0.0": "", "224.0.0.0": "", "255.255.255.255": "",
			},
		},
		{
			"the widest ranges",
			[]responder.Binding{bind("1.0.0.0-126.255.255.255", macA), bind("128.0.0.0-223.255.255.255", macB)},
			lookups{
				"0.0.0.0": "", "0.255.255.255": "", "1.0.0.0": macA, "64.0.0.0": macA, "126.255.255.255": macA,
				"127.0.0.0": "", "127.255.255.255": "", "128.0.0.0": macB, "191.255.255.255": macB,
				"192.0.0.0": macB, "223.255.255.255": macB, "224.0.0.0": "", "255.255.255.255": "",
			},
		},
		{
			"an address in a range",
			[]responder.Binding{bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.7", macB)},
			lookups{"10.0.0.6": macA, "10.0.0.7": macB, "10.0.0.8": macA, "10.0.1.0": "", "9.255.255.255": ""},
		},
		{
			"addresses at both ends of a range",
			[]responder.Binding{bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.0", macB), bind("10.0.0.255", macC)},
			lookups{"10.0.0.0": macB, "10.0.0.1": macA, "10.0.0.254": macA, "10.0.0.255": macC},
		},
		{
			"a narrower range in a wider one",
			[]responder.Binding{bind("10.0.0.0-10.255.255.255", macA), bind("10.9.0.0-10.9.255.255", macB)},
			lookups{
				"10.8.255.255": macA, "10.9.0.0": macB, "10.9.255.255": macB, "10.10.0.0": macA,
				"10.255.255.255": macA, "11.0.0.0": "",
			},
		},
		{
			"three ranges and an address, nested",
			[]responder.Binding{
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
			[]responder.Binding{
				bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.0-10.0.0.15", macB), bind("10.0.0.0", macC),
			},
			lookups{"10.0.0.0": macC, "10.0.0.1": macB, "10.0.0.15": macB, "10.0.0.16": macA, "10.0.0.255": macA},
		},
		{
			"nested, with the same end",
			[]responder.Binding{bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.240-10.0.0.255", macB)},
			lookups{"10.0.0.239": macA, "10.0.0.240": macB, "10.0.0.255": macB, "10.0.1.0": ""},
		},
		{
			"the narrower one starts first and overlaps",
			[]responder.Binding{bind("10.0.0.0-10.0.0.99", macA), bind("10.0.0.50-10.0.0.255", macB)},
			lookups{"10.0.0.49": macA, "10.0.0.50": macA, "10.0.0.99": macA, "10.0.0.100": macB, "10.0.0.255": macB},
		},
		{
			"the wider one starts first and overlaps",
			[]responder.Binding{bind("10.0.0.0-10.0.0.199", macA), bind("10.0.0.150-10.0.0.255", macB)},
			lookups{"10.0.0.149": macA, "10.0.0.150": macB, "10.0.0.255": macB},
		},
		{
			"the narrowest ends before a wider one that began earlier is narrower again",
			[]responder.Binding{
				bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.10-10.0.0.59", macB),
				bind("10.0.0.20-10.0.0.29", macC),
			},
			lookups{"10.0.0.9": macA, "10.0.0.19": macB, "10.0.0.25": macC, "10.0.0.30": macB, "10.0.0.60": macA},
		},
		{
			"adjacent ranges of one size",
			[]responder.Binding{bind("10.0.0.0-10.0.0.63", macA), bind("10.0.0.64-10.0.0.127", macB)},
			lookups{"10.0.0.0": macA, "10.0.0.63": macA, "10.0.0.64": macB, "10.0.0.127": macB, "10.0.0.128": ""},
		},
		{
			"adjacent ranges off the powers of two",
			[]responder.Binding{bind("10.0.0.3-10.0.4.4", macA), bind("10.0.4.5-10.0.8.6", macB)},
			lookups{
				"10.0.0.2": "", "10.0.0.3": macA, "10.0.4.4": macA, "10.0.4.5": macB, "10.0.8.6": macB, "10.0.8.7": "",
			},
		},
		{
			"in any order",
			[]responder.Binding{bind("10.0.0.9", macC), bind("10.0.0.0-10.0.0.255", macB), bind("10.0.0.1", macA)},
			lookups{"10.0.0.1": macA, "10.0.0.9": macC, "10.0.0.2": macB},
		},
		{
			"several addresses of one owner",
			[]responder.Binding{bind("10.0.0.1", macA), bind("10.0.0.2", macA)},
			lookups{"10.0.0.1": macA, "10.0.0.2": macA, "10.0.0.3": ""},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reg := registry(t, tt.bindings...)
			for addr, owner := range tt.want {
				checkLookup(t, reg, addr, owner)
			}
			if reg.Len() != len(tt.bindings) {
				t.Errorf("Len is %d; want %d", reg.Len(), len(tt.bindings))
			}
		})
	}
}

// TestLookupReturnsBinding expects the binding as it was given, with all that it carries.
func TestLookupReturnsBinding(t *testing.T) {
	want := responder.Binding{
		First: ip("10.0.0.16"), Last: ip("10.0.0.31"), MAC: mac(macA), Name: "db", Port: "vnet3",
		Origin: responder.Origin{File: "lab.yaml", Line: 7},
	}
	reg := registry(t, bind("10.0.0.0-10.0.0.255", macB), want)
	got, ok := reg.Lookup(ip("10.0.0.20"))
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); !ok || diff != "" {
		t.Errorf("Lookup: %v (-want +got):\n%s", ok, diff)
	}
	for _, addr := range []netip.Addr{{}, ip("::1"), ip("::ffff:10.0.0.20")} {
		if b, ok := reg.Lookup(addr); ok {
			t.Errorf("Lookup(%s), which is not IPv4, found %v", addr, b)
		}
	}
}

func TestZeroRegistry(t *testing.T) {
	var reg responder.Registry
	checkLookup(t, &reg, "10.0.0.1", "")
	checkLookup(t, &reg, "0.0.0.0", "")
	v, answer := handle(t, responder.New(&reg, responder.Policy{AnySender: true}), responder.In{}, ask.bytes())
	checkVerdict(t, v, answer, drop, responder.UnknownTarget, "")
}

func TestAll(t *testing.T) {
	sorted := []responder.Binding{
		bind("10.0.0.0-10.0.0.255", macA), bind("10.0.0.0-10.0.0.15", macB), bind("10.0.0.0", macC),
		bind("10.0.0.9", macA), bind("10.0.0.10-10.0.0.12", macA), bind("192.168.0.1", macA),
	}
	shuffled := slices.Clone(sorted)
	slices.Reverse(shuffled)
	reg := registry(t, shuffled...)
	got := slices.Collect(reg.All())
	if diff := cmp.Diff(sorted, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("All (-want +got):\n%s", diff)
	}
	for b := range reg.All() {
		if b != sorted[0] {
			t.Errorf("the first of All is %v", b)
		}
		break
	}
}

// TestLookupLikeModel compares registries of random bindings with a search through the list of them.
func TestLookupLikeModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		bindings := randomBindings(rng, 1+rng.IntN(60))
		reg := registry(t, bindings...)
		for _, addr := range interestingAddrs(rng, bindings) {
			want := ""
			if b := narrowest(bindings, addr); b != nil {
				want = b.MAC.String()
			}
			checkLookup(t, reg, addr.String(), want)
		}
		if t.Failed() {
			t.Fatalf("round %d: %v", round, bindings)
		}
	}
}

// TestRangeIsKeptOnce expects one owner for a range, however many addresses it has, where no boundary of the
// trie cuts it.
func TestRangeIsKeptOnce(t *testing.T) {
	var bindings []responder.Binding
	for i := range uint32(1000) {
		first := 10<<24 + i*16
		bindings = append(bindings, responder.Binding{First: addrOf(first), Last: addrOf(first + 15), MAC: macOf(i)})
	}
	if got := registry(t, bindings...).Leaves(); got != len(bindings) {
		t.Errorf("%d owners for %d ranges", got, len(bindings))
	}
}

// randomBindings makes up to n bindings that overlap a lot but don't conflict, each with a MAC of its own.
// They lie in a block of random size at a random place, so that each level of the trie gets its share.
func randomBindings(rng *rand.Rand, n int) []responder.Binding {
	blockBits := 4 + rng.IntN(24)
	block := (1+rng.Uint32N(100))<<24 + rng.Uint32N(1<<24)
	var bindings []responder.Binding
	for i := range n {
		first := block + rng.Uint32N(1<<blockBits)
		last := min(first+rng.Uint32N(1<<rng.IntN(blockBits)), block+1<<blockBits-1)
		b := responder.Binding{First: addrOf(first), Last: addrOf(last), MAC: macOf(uint32(i))}
		if !conflictsWith(bindings, b) {
			bindings = append(bindings, b)
		}
	}
	return bindings
}

func addrOf(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

func number(addr netip.Addr) uint32 { return binary.BigEndian.Uint32(addr.AsSlice()) }

// macOf returns a MAC of the n-th owner.
func macOf(n uint32) responder.MAC {
	return responder.MAC(binary.BigEndian.AppendUint32([]byte{0x02, 0x00}, n))
}

func size(b responder.Binding) uint32 { return number(b.Last) - number(b.First) }

func overlap(a, b responder.Binding) bool { return !a.Last.Less(b.First) && !b.Last.Less(a.First) }

func conflictsWith(bindings []responder.Binding, b responder.Binding) bool {
	return slices.ContainsFunc(bindings, func(o responder.Binding) bool {
		return size(o) == size(b) && overlap(o, b)
	})
}

func narrowest(bindings []responder.Binding, addr netip.Addr) *responder.Binding {
	var found *responder.Binding
	for i, b := range bindings {
		if !addr.Less(b.First) && !b.Last.Less(addr) && (found == nil || size(b) < size(*found)) {
			found = &bindings[i]
		}
	}
	return found
}

// interestingAddrs are those around the ends of bindings, some in them, and some anywhere.
func interestingAddrs(rng *rand.Rand, bindings []responder.Binding) []netip.Addr {
	addrs := []netip.Addr{ip("0.0.0.0"), ip("255.255.255.255")}
	for _, b := range bindings {
		first, last := number(b.First), number(b.Last)
		within := first + rng.Uint32N(last-first+1)
		for _, n := range []uint32{first - 1, first, within, last, last + 1, rng.Uint32()} {
			addrs = append(addrs, addrOf(n))
		}
	}
	return addrs
}

func TestNewRegistryErrors(t *testing.T) {
	at := func(line int, b responder.Binding) responder.Binding {
		b.Origin = responder.Origin{File: "lab.yaml", Line: line}
		return b
	}
	with := func(b responder.Binding, change func(*responder.Binding)) responder.Binding {
		change(&b)
		return b
	}
	ok := bind("10.0.0.1", macA)
	tests := []struct {
		name     string
		bindings []responder.Binding
		want     []string
	}{
		{
			"IPv6",
			[]responder.Binding{bind("fe80::1", macA)},
			[]string{"fe80::1 is-at 02:00:00:00:00:0a: its addresses are not IPv4"},
		},
		{
			"IPv4 in IPv6",
			[]responder.Binding{bind("::ffff:10.0.0.1", macA)},
			[]string{"::ffff:10.0.0.1 is-at 02:00:00:00:00:0a: its addresses are not IPv4"},
		},
		{
			"no address",
			[]responder.Binding{{MAC: mac(macA)}},
			[]string{"invalid IP is-at 02:00:00:00:00:0a: its addresses are not IPv4"},
		},
		{
			"range from IPv4 to IPv6",
			[]responder.Binding{bind("10.0.0.1-fe80::1", macA)},
			[]string{"10.0.0.1-fe80::1 is-at 02:00:00:00:00:0a: its addresses are not IPv4"},
		},
		{
			"range backwards",
			[]responder.Binding{bind("10.0.0.9-10.0.0.1", macA)},
			[]string{"10.0.0.9-10.0.0.1 is-at 02:00:00:00:00:0a: " +
				"its range ends before it starts (10.0.0.9-10.0.0.1)"},
		},
		{
			"0.0.0.0",
			[]responder.Binding{bind("0.0.0.0", macA)},
			[]string{"0.0.0.0 is-at 02:00:00:00:00:0a: 0.0.0.0 is in 0.0.0.0/8, which no host can have"},
		},
		{
			"everything",
			[]responder.Binding{bind("0.0.0.0-255.255.255.255", macA)},
			[]string{"0.0.0.0-255.255.255.255 is-at 02:00:00:00:00:0a: " +
				"0.0.0.0 is in 0.0.0.0/8, which no host can have"},
		},
		{
			"loopback",
			[]responder.Binding{bind("127.0.0.1", macA)},
			[]string{"127.0.0.1 is-at 02:00:00:00:00:0a: 127.0.0.1 is in 127.0.0.0/8, the loopback network"},
		},
		{
			"range across loopback",
			[]responder.Binding{bind("126.0.0.0-128.0.0.0", macA)},
			[]string{"126.0.0.0-128.0.0.0 is-at 02:00:00:00:00:0a: " +
				"127.0.0.0 is in 127.0.0.0/8, the loopback network"},
		},
		{
			"multicast",
			[]responder.Binding{bind("224.0.0.1", macA)},
			[]string{"224.0.0.1 is-at 02:00:00:00:00:0a: 224.0.0.1 is a multicast or reserved address"},
		},
		{
			"range into multicast",
			[]responder.Binding{bind("223.255.255.255-224.0.0.0", macA)},
			[]string{"223.255.255.255-224.0.0.0 is-at 02:00:00:00:00:0a: " +
				"224.0.0.0 is a multicast or reserved address"},
		},
		{
			"limited broadcast",
			[]responder.Binding{bind("255.255.255.255", macA)},
			[]string{"255.255.255.255 is-at 02:00:00:00:00:0a: " +
				"255.255.255.255 is a multicast or reserved address"},
		},
		{
			"MAC zero",
			[]responder.Binding{with(ok, func(b *responder.Binding) { b.MAC = zeroMAC })},
			[]string{"10.0.0.1 is-at 00:00:00:00:00:00: 00:00:00:00:00:00 is not the MAC of one host " +
				"(it is zero, broadcast or multicast)"},
		},
		{
			"MAC multicast",
			[]responder.Binding{bind("10.0.0.1", "01:00:5e:00:00:01")},
			[]string{"10.0.0.1 is-at 01:00:5e:00:00:01: 01:00:5e:00:00:01 is not the MAC of one host " +
				"(it is zero, broadcast or multicast)"},
		},
		{
			"duplicate",
			[]responder.Binding{ok, bind("10.0.0.1", macB)},
			[]string{"10.0.0.1 is-at 02:00:00:00:00:0b: the address is bound twice"},
		},
		{
			"the same binding twice",
			[]responder.Binding{at(3, ok), at(9, ok)},
			[]string{"lab.yaml:9: 10.0.0.1 is-at 02:00:00:00:00:0a: the address is bound twice (see lab.yaml:3)"},
		},
		{
			"three of one address, the last line first",
			[]responder.Binding{at(9, ok), at(5, ok), at(3, ok)},
			[]string{
				"lab.yaml:5: 10.0.0.1 is-at 02:00:00:00:00:0a: the address is bound twice (see lab.yaml:3)",
				"lab.yaml:9: 10.0.0.1 is-at 02:00:00:00:00:0a: the address is bound twice (see lab.yaml:3)",
			},
		},
		{
			"the same range twice",
			[]responder.Binding{at(1, bind("10.0.0.0-10.0.0.9", macA)), at(2, bind("10.0.0.0-10.0.0.9", macB))},
			[]string{"lab.yaml:2: 10.0.0.0-10.0.0.9 is-at 02:00:00:00:00:0b: it overlaps 10.0.0.0-10.0.0.9, " +
				"which is as wide, so neither wins (see lab.yaml:1)"},
		},
		{
			"ranges of one size that share one address",
			[]responder.Binding{bind("10.0.0.0-10.0.0.9", macA), bind("10.0.0.9-10.0.0.18", macB)},
			[]string{"10.0.0.9-10.0.0.18 is-at 02:00:00:00:00:0b: it overlaps 10.0.0.0-10.0.0.9, " +
				"which is as wide, so neither wins"},
		},
		{
			"a chain of ranges of one size, a narrower one between",
			[]responder.Binding{
				bind("10.0.0.0-10.0.0.9", macA), bind("10.0.0.2-10.0.0.3", macC),
				bind("10.0.0.5-10.0.0.14", macB), bind("10.0.0.12-10.0.0.21", macA),
			},
			[]string{
				"10.0.0.12-10.0.0.21 is-at 02:00:00:00:00:0a: it overlaps 10.0.0.5-10.0.0.14, " +
					"which is as wide, so neither wins",
				"10.0.0.5-10.0.0.14 is-at 02:00:00:00:00:0b: it overlaps 10.0.0.0-10.0.0.9, " +
					"which is as wide, so neither wins",
			},
		},
		{
			"everything wrong at once, and something right",
			[]responder.Binding{
				at(1, bind("::1", macA)), at(2, ok), at(3, bind("10.0.0.1", macB)),
				at(4, bind("10.0.1.0-10.0.1.1", macA)), at(5, bind("10.0.1.1-10.0.1.2", macA)),
				at(6, bind("127.0.0.1", macA)),
			},
			[]string{
				"lab.yaml:1: ::1 is-at 02:00:00:00:00:0a: its addresses are not IPv4",
				"lab.yaml:3: 10.0.0.1 is-at 02:00:00:00:00:0b: the address is bound twice (see lab.yaml:2)",
				"lab.yaml:5: 10.0.1.1-10.0.1.2 is-at 02:00:00:00:00:0a: it overlaps 10.0.1.0-10.0.1.1, " +
					"which is as wide, so neither wins (see lab.yaml:4)",
				"lab.yaml:6: 127.0.0.1 is-at 02:00:00:00:00:0a: 127.0.0.1 is in 127.0.0.0/8, the loopback network",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reg, err := responder.NewRegistry(slices.Values(tt.bindings))
			if reg != nil {
				t.Error("there is a registry beside the error")
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

func bindingErrors(t *testing.T, err error) responder.BindingErrors {
	t.Helper()
	var problems responder.BindingErrors
	if !errors.As(err, &problems) {
		t.Fatalf("error is %v; want BindingErrors", err)
	}
	return problems
}

func TestBindingErrors(t *testing.T) {
	first, second := bind("10.0.0.1", macA), bind("10.0.0.1", macB)
	_, err := responder.NewRegistry(slices.Values([]responder.Binding{first, second, bind("::1", macC)}))
	want := "::1 is-at 02:00:00:00:00:0c: its addresses are not IPv4\n" +
		"10.0.0.1 is-at 02:00:00:00:00:0b: the address is bound twice"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v; want %s", err, want)
	}
	problems := bindingErrors(t, err)
	if len(problems) != 2 || problems[0].With != nil || problems[1].With == nil || *problems[1].With != first {
		t.Errorf("problems are %+v; only the second is with another binding, the first", problems)
	}
}

// TestConflictsLikeModel compares the conflicts that are reported with all that a search for pairs finds.
func TestConflictsLikeModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var bindings []responder.Binding
		for line := range 1 + rng.IntN(40) {
			first := 10<<24 + rng.Uint32N(200)
			bindings = append(bindings, responder.Binding{
				First: addrOf(first), Last: addrOf(first + rng.Uint32N(4)*5), MAC: mac(macA),
				Origin: responder.Origin{File: "lab.yaml", Line: 1 + line},
			})
		}
		want := map[int]bool{} // lines
		for _, a := range bindings {
			for _, b := range bindings {
				later := a.First.Less(b.First) || a.First == b.First && a.Origin.Line < b.Origin.Line
				if later && size(a) == size(b) && overlap(a, b) {
					want[b.Origin.Line] = true
				}
			}
		}
		_, err := responder.NewRegistry(slices.Values(bindings))
		got := map[int]bool{}
		if err != nil {
			for _, e := range bindingErrors(t, err) {
				got[e.Binding.Origin.Line] = true
				if e.With == nil || !overlap(e.Binding, *e.With) || size(e.Binding) != size(*e.With) {
					t.Fatalf("%v is said to conflict with %v", e.Binding, e.With)
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
	var bindings []responder.Binding
	for i := range uint32(most + 1) {
		addr := addrOf(10<<24 + i)
		bindings = append(bindings, responder.Binding{
			First: addr, Last: addr, MAC: mac(macA), Port: fmt.Sprintf("vnet%d", i),
		})
	}
	reg := registry(t, bindings[:most]...)
	if b, ok := reg.Lookup(bindings[most-1].First); !ok || b.Port != "vnet65534" {
		t.Errorf("the last binding is %v, %v", b, ok)
	}
	_, err := responder.NewRegistry(slices.Values(bindings))
	want := "10.0.255.255 is-at 02:00:00:00:00:0a: the bindings name more than 65535 ports"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v; want %s", err, want)
	}
}

func TestBindingString(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{bind("10.0.0.1", macA).String(), "10.0.0.1 is-at 02:00:00:00:00:0a"},
		{bind("10.0.0.1-10.0.0.9", macA).String(), "10.0.0.1-10.0.0.9 is-at 02:00:00:00:00:0a"},
		{responder.Origin{}.String(), ""},
		{responder.Origin{File: "ethers", Line: 12}.String(), "ethers:12"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q; want %q", tt.got, tt.want)
		}
	}
}
