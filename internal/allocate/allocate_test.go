package allocate_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder/registry"
)

var morning = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// A host makes the decisions of a network come true.
type host struct {
	t     *testing.T
	store *store.Memory
	state allocate.State
}

func newHost(t *testing.T, network config.Network, bindings ...registry.Binding) *host {
	t.Helper()
	r, err := registry.New(slices.Values(bindings))
	labtest.Must(t, err)
	network.Name, network.Registry = "lab", r
	if network.Allocation.MAC == (config.MACPattern{}) {
		network.Allocation.MAC = pattern("02:00:*:de:54:a8")
	}
	s := store.NewMemory()
	return &host{t, s, allocate.State{Network: &network, File: r, Table: s.Table(), Now: morning}}
}

func pattern(text string) config.MACPattern {
	p, err := config.ParseMACPattern(text)
	if err != nil {
		panic(err)
	}
	return p
}

func rangeOf(text string) config.Range {
	r, err := config.ParseRange(text)
	if err != nil {
		panic(err)
	}
	return r
}

func binding(addresses, mac string) registry.Binding {
	r := rangeOf(addresses)
	return registry.Binding{
		First: r.First, Last: r.Last, MAC: registrytest.MAC(mac), Origin: registry.Origin{Source: "lab.yaml", Line: 4},
	}
}

// commit puts a change in force.
func (h *host) commit(c store.Change) {
	h.t.Helper()
	changes := []store.Change{c}
	labtest.Must(h.t, h.store.Commit(changes))
	var remove, add []registry.Binding
	if b, ok := h.state.Network.Registry.Lookup(c.Address); ok {
		remove = append(remove, b)
	}
	if a, ok := h.store.Table().Get("lab", c.Address); ok {
		add = append(add, a.Binding())
	}
	next, err := h.state.Network.Registry.Edit(remove, add)
	labtest.Must(h.t, err)
	h.state.Network.Registry = next
}

func (h *host) allocate(r allocate.Request) (netip.Addr, error) {
	h.t.Helper()
	c, err := h.state.Allocate(r)
	if err != nil {
		return netip.Addr{}, err
	}
	h.commit(c)
	h.state.After = c.Address
	return c.Address, nil
}

func (h *host) mustAllocate(r allocate.Request) netip.Addr {
	h.t.Helper()
	a, err := h.allocate(r)
	labtest.Must(h.t, err)
	return a
}

func (h *host) release(addr netip.Addr) {
	h.t.Helper()
	c, err := h.state.Release(addr, allocate.Precondition{}, store.Caller{})
	labtest.Must(h.t, err)
	h.commit(c)
}

// expectRefusal checks the cause and the text of a refusal.
func expectRefusal(t *testing.T, err error, cause allocate.Cause, text string) {
	t.Helper()
	refusal, ok := errors.AsType[*allocate.Refusal](err)
	if !ok || refusal.Cause != cause || !strings.Contains(refusal.Text, text) {
		t.Errorf("error %v, want cause %d with %q", err, cause, text)
	}
}

var slash24 = config.Network{
	Subnet: netip.MustParsePrefix("10.239.0.0/24"), Gateway: netip.MustParseAddr("10.239.0.1"),
	Allocation: config.Allocation{Hold: 10 * time.Minute},
}

var gateway = binding("10.239.0.1", "02:00:00:de:54:a8")

// TestNext checks the order of addresses, and their MACs.
func TestNext(t *testing.T) {
	network := slash24
	network.Allocation.Reserved = []config.Range{rangeOf("10.239.0.3-10.239.0.4")}
	h := newHost(t, network, gateway, binding("10.239.0.6-10.239.0.8", "02:00:05:de:54:a8"))
	for _, want := range []string{"10.239.0.2 02:00:02:de:54:a8", "10.239.0.5 02:00:06:de:54:a8", "10.239.0.9 02:00:09:de:54:a8"} {
		addr := h.mustAllocate(allocate.Request{})
		a, _ := h.store.Table().Get("lab", addr)
		if got := fmt.Sprint(addr, " ", a.MAC); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if addr := h.mustAllocate(allocate.Request{From: rangeOf("10.239.0.128/28")}); addr.String() != "10.239.0.128" {
		t.Errorf("from a range: %s", addr)
	}
	var free []string
	for r := range h.state.Free {
		free = append(free, r.String())
	}
	if want := []string{"10.239.0.10-10.239.0.127", "10.239.0.129-10.239.0.254"}; !slices.Equal(free, want) {
		t.Errorf("free: %v, want %v", free, want)
	}
}

// TestEveryAddress allocates at random until nothing is free, with several changes pending at a time, frees some, and goes
// on: never two, never outside, never reserved, and always the one that is free.
func TestEveryAddress(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		network := slash24
		network.Allocation.Reserved = []config.Range{rangeOf("10.239.0.64/27")}
		network.Allocation.Hold = 0
		h := newHost(t, network, gateway, binding("10.239.0.16/28", "02:00:05:de:54:a8"))
		possible := func(n int) bool { return n != 1 && n/16 != 1 && n/32 != 2 && n != 0 && n != 255 }
		given, macs := map[netip.Addr]bool{}, map[registry.MAC]bool{gateway.MAC: true}
		for len(given) < 254-1-16-32 {
			c, err := h.state.Allocate(allocate.Request{})
			labtest.Must(t, err)
			last := c.Address.As4()
			if given[c.Address] || macs[c.MAC] || !slash24.Subnet.Contains(c.Address) || !possible(int(last[3])) {
				t.Fatalf("seed %d: %s with %s was given", seed, c.Address, c.MAC)
			}
			given[c.Address], macs[c.MAC] = true, true
			h.state.After = c.Address
			h.state.Pending = append(h.state.Pending, c)
			if random.IntN(4) > 0 {
				continue
			}
			for _, c := range h.state.Pending {
				h.commit(c)
			}
			h.state.Pending = nil
			if addr := c.Address; random.IntN(4) == 0 {
				h.release(addr)
				h.state.Now = h.state.Now.Add(time.Second)
				h.store.Table().ForgetHeld("lab", h.state.Now)
				delete(given, addr)
				delete(macs, c.MAC)
			}
		}
		_, err := h.state.Allocate(allocate.Request{})
		expectRefusal(t, err, allocate.Exhausted, "no address of 10.239.0.0-10.239.0.255 in network lab is free")
		for range h.state.Free {
			t.Error("an address is free, but was not given")
		}
	}
}

// TestHold checks that a freed address, and its MAC, go to nobody else for a while, except back to the owner.
func TestHold(t *testing.T) {
	network := slash24
	network.Allocation.From = rangeOf("10.239.0.8-10.239.0.9")
	network.Allocation.MAC = pattern("02:00:*:de:54:a8")
	h := newHost(t, network, gateway)
	first, second := h.mustAllocate(allocate.Request{}), h.mustAllocate(allocate.Request{})
	before, _ := h.store.Table().Get("lab", first)
	h.release(first)
	_, err := h.allocate(allocate.Request{})
	expectRefusal(t, err, allocate.Exhausted, "held for 10m0s after it was freed")
	other := registrytest.MAC("02:00:77:de:54:a8")
	_, err = h.allocate(allocate.Request{Address: first, MAC: other})
	expectRefusal(t, err, allocate.Taken, "10.239.0.8 is held for 02:00:08:de:54:a8 until 2026-03-02T08:10:00Z")
	// Another address does not get its MAC.
	third := h.mustAllocate(allocate.Request{Address: netip.MustParseAddr("10.239.0.10")})
	if a, _ := h.store.Table().Get("lab", third); a.MAC == before.MAC {
		t.Error("the held MAC was given to another address")
	}
	// Its owner gets it back, with its MAC.
	h.mustAllocate(allocate.Request{Address: first})
	if a, _ := h.store.Table().Get("lab", first); a.MAC != before.MAC {
		t.Errorf("the owner has %s now", a.MAC)
	}
	h.release(second)
	h.state.Now = h.state.Now.Add(10 * time.Minute)
	if addr := h.mustAllocate(allocate.Request{}); addr != second {
		t.Errorf("after the hold time %s is given", addr)
	}
}

func TestRefusals(t *testing.T) {
	network := slash24
	network.Attach = config.Attachment{Bridge: "br0", Uplinks: []string{"eth1"}}
	network.Allocation.Reserved = []config.Range{rangeOf("10.239.0.64/27")}
	h := newHost(t, network, gateway, binding("10.239.0.16/28", "02:00:05:de:54:a8"))
	h.mustAllocate(allocate.Request{Name: "web"})
	addr := netip.MustParseAddr
	tests := []struct {
		name    string
		request allocate.Request
		cause   allocate.Cause
		text    string
	}{
		{"allocated", allocate.Request{Address: addr("10.239.0.2")}, allocate.Taken, "10.239.0.2 is allocated already, to web (store:1)"},
		{"bound", allocate.Request{Address: addr("10.239.0.1")}, allocate.Taken, "10.239.0.1 is bound to 02:00:00:de:54:a8 in lab.yaml:4; change it there"},
		{"in a range", allocate.Request{Address: addr("10.239.0.20")}, allocate.Taken, "is bound to 02:00:05:de:54:a8 in lab.yaml:4"},
		{"reserved", allocate.Request{Address: addr("10.239.0.64")}, allocate.Taken, "is reserved by networks.lab.allocation.reserved (10.239.0.64-10.239.0.95)"},
		{"broadcast", allocate.Request{Address: addr("10.239.0.255")}, allocate.Invalid, "broadcast address"},
		{"outside", allocate.Request{Address: addr("10.240.0.1")}, allocate.Invalid, "outside the network's subnet"},
		{"range outside", allocate.Request{From: rangeOf("10.240.0.0/24")}, allocate.Invalid, "10.240.0.0-10.240.0.255 is outside"},
		{"group MAC", allocate.Request{MAC: registry.MAC{1}}, allocate.Invalid, "not a unicast MAC"},
		{"name", allocate.Request{Name: "web"}, allocate.Taken, "the name web has 10.239.0.2 in network lab already (store:1)"},
		{"bad name", allocate.Request{Name: "a b"}, allocate.Invalid, "not a valid name"},
		{"name of an address", allocate.Request{Name: "10.239.0.7"}, allocate.Invalid, "would be taken for an address"},
		{"uplink", allocate.Request{Port: "eth1"}, allocate.Invalid, "eth1 is an uplink"},
		{"no port", allocate.Request{Port: "no port"}, allocate.Invalid, "not a valid interface name"},
		{"expired", allocate.Request{Expires: morning}, allocate.Invalid, "would have expired already"},
		{"full range", allocate.Request{From: rangeOf("10.239.0.64/27")}, allocate.Exhausted, "no address of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.state.Allocate(tt.request)
			expectRefusal(t, err, tt.cause, tt.text)
		})
	}
	_, err := h.state.Release(addr("10.239.0.1"), allocate.Precondition{}, store.Caller{})
	expectRefusal(t, err, allocate.Taken, "10.239.0.1 is bound in lab.yaml:4; remove it there")
	_, err = h.state.Release(addr("10.239.0.9"), allocate.Precondition{}, store.Caller{})
	expectRefusal(t, err, allocate.Missing, "10.239.0.9 is not allocated in network lab")
}

func TestWithoutSubnet(t *testing.T) {
	h := newHost(t, config.Network{})
	_, err := h.allocate(allocate.Request{})
	expectRefusal(t, err, allocate.Invalid, "has neither a subnet nor allocation.from")
	if addr := h.mustAllocate(allocate.Request{From: rangeOf("10.1.0.0/16")}); addr.String() != "10.1.0.0" {
		t.Errorf("got %s", addr)
	}
	for _, text := range []string{"127.0.0.1", "224.0.0.1", "0.1.2.3", "255.255.255.255"} {
		_, err := h.allocate(allocate.Request{Address: netip.MustParseAddr(text)})
		expectRefusal(t, err, allocate.Invalid, "no host can have the address "+text)
	}
	_, err = h.allocate(allocate.Request{From: rangeOf("224.0.0.0/30")})
	expectRefusal(t, err, allocate.Exhausted, "is free")
}

// TestMACsRunOut checks that a pattern whose MACs are all in use is an error, and not a second use of one.
func TestMACsRunOut(t *testing.T) {
	network := slash24
	network.Subnet = netip.MustParsePrefix("10.239.0.0/16")
	h := newHost(t, network, gateway)
	for range 255 { // the gateway has one
		h.mustAllocate(allocate.Request{})
	}
	_, err := h.allocate(allocate.Request{})
	expectRefusal(t, err, allocate.Exhausted, "all MACs like 02:00:*:de:54:a8 are in use in network lab")
	h.mustAllocate(allocate.Request{MAC: registrytest.MAC("02:01:00:00:00:01")})
}

// TestPut checks that Put creates, changes and is idempotent, and what preconditions do.
func TestPut(t *testing.T) {
	h := newHost(t, slash24, gateway)
	at := netip.MustParseAddr("10.239.0.7")
	put := func(r allocate.Request, want store.Kind) {
		t.Helper()
		r.Address = at
		c, isChange, err := h.state.Put(r)
		labtest.Must(t, err)
		if isChange != (want != "") || isChange && c.Kind != want {
			t.Errorf("%+v: change %v, %s", r, isChange, c.Kind)
		}
		if isChange {
			h.commit(c)
		}
	}
	put(allocate.Request{Name: "web"}, store.Allocate)
	put(allocate.Request{Name: "web"}, "")
	put(allocate.Request{Name: "web", Expires: morning.Add(time.Hour)}, store.Modify)
	put(allocate.Request{Name: "web", Expires: morning.Add(time.Hour)}, "")
	put(allocate.Request{Name: "db", MAC: registrytest.MAC("02:00:77:de:54:a8")}, store.Modify)
	want := store.Allocation{Network: "lab", Address: at, MAC: registrytest.MAC("02:00:77:de:54:a8"), Name: "db", Revision: 3}
	if a, _ := h.store.Table().Get("lab", at); a != want {
		t.Errorf("allocated: %+v, want %+v", a, want)
	}
	for _, tt := range []struct {
		precondition allocate.Precondition
		isRefused    bool
	}{
		{allocate.Precondition{Absent: true}, true},
		{allocate.Precondition{Revision: 2}, true},
		{allocate.Precondition{Revision: 3}, false},
	} {
		r := allocate.Request{Address: at, Name: "x", Precondition: tt.precondition}
		_, _, err := h.state.Put(r)
		_, errRelease := h.state.Release(at, tt.precondition, store.Caller{})
		if tt.isRefused {
			expectRefusal(t, err, allocate.Changed, "revision 3")
			expectRefusal(t, errRelease, allocate.Changed, "revision 3")
		} else if err != nil || errRelease != nil {
			t.Errorf("%+v: %v, %v", tt.precondition, err, errRelease)
		}
	}
	h.release(at)
	_, _, err := h.state.Put(allocate.Request{Address: at, Precondition: allocate.Precondition{Revision: 3}})
	expectRefusal(t, err, allocate.Changed, "not allocated any more")
}

// TestPending checks that decisions see those before, although nothing is committed yet.
func TestPending(t *testing.T) {
	h := newHost(t, slash24, gateway)
	first, err := h.state.Allocate(allocate.Request{Name: "web"})
	labtest.Must(t, err)
	h.state.Pending = append(h.state.Pending, first)
	_, err = h.state.Allocate(allocate.Request{Name: "web"})
	expectRefusal(t, err, allocate.Taken, "the name web")
	_, err = h.state.Allocate(allocate.Request{Address: first.Address})
	expectRefusal(t, err, allocate.Taken, "allocated already")
	end, err := h.state.Release(first.Address, allocate.Precondition{}, store.Caller{})
	labtest.Must(t, err)
	h.state.Pending = append(h.state.Pending, end)
	if _, err = h.state.Allocate(allocate.Request{Name: "web"}); err != nil {
		t.Errorf("the name of a pending free: %v", err)
	}
	_, err = h.state.Allocate(allocate.Request{Address: first.Address, MAC: registrytest.MAC("02:00:77:de:54:a8")})
	expectRefusal(t, err, allocate.Taken, "is held")
}

// BenchmarkAllocate decides with a million allocations.
func BenchmarkAllocate(b *testing.B) {
	s := store.NewMemory()
	var bindings []registry.Binding
	for n := range 1_000_000 {
		a := store.Allocation{
			Network: "lab", Address: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}),
			MAC: registry.MAC{2, byte(n >> 16), byte(n >> 8), byte(n), 0x54, 0xa8},
		}
		s.Commit([]store.Change{{Kind: store.Allocate, Allocation: a}})
		bindings = append(bindings, a.Binding())
	}
	r, _ := registry.New(slices.Values(bindings))
	network := config.Network{Name: "lab", Registry: r, Subnet: netip.MustParsePrefix("10.0.0.0/8"), Allocation: config.Allocation{MAC: pattern("02:*:*:*:54:a8")}}
	state := allocate.State{Network: &network, File: &registry.Registry{}, Table: s.Table(), Now: morning}
	for _, after := range []string{"", "10.15.66.63"} {
		b.Run("after="+after, func(b *testing.B) {
			state.After, _ = netip.ParseAddr(after)
			for b.Loop() {
				if _, err := state.Allocate(allocate.Request{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestMACAlone checks that no MAC is made that a binding has alone, without an address.
func TestMACAlone(t *testing.T) {
	h := newHost(t, slash24, gateway, registry.Binding{MAC: registrytest.MAC("02:00:02:de:54:a8")})
	addr := h.mustAllocate(allocate.Request{})
	if a, _ := h.store.Table().Get("lab", addr); a.MAC.String() != "02:00:03:de:54:a8" {
		t.Errorf("%s got %s", addr, a.MAC)
	}
}
