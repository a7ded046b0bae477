package registry_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// shared returns a binding of addresses that may move between MACs. The first one holds them.
func shared(addresses, port string, macs ...string) registry.Binding {
	b := bind(addresses, macs[0])
	b.Port, b.Candidates = port, registrytest.MACs(macs...)
	return b
}

func TestCandidates(t *testing.T) {
	want := shared("10.0.0.0-10.0.0.9", "", macA, macB)
	reg := registrytest.New(t, want, bind("10.0.0.1", macC), shared("10.0.0.2", "vnet1", macC, macB))
	if got, _ := reg.Lookup(ip("10.0.0.5")); got != want {
		t.Errorf("Lookup returns %+v; want %+v", got, want)
	}
	for _, tt := range []struct {
		addr, mac, port string
		want            bool
	}{
		{"10.0.0.5", macA, "vnet1", true},
		{"10.0.0.5", macB, "vnet1", true},
		{"10.0.0.5", macC, "vnet1", false},
		{"10.0.0.1", macA, "vnet1", false}, // a narrower binding has it
		{"10.0.0.2", macB, "vnet1", true},
		{"10.0.0.2", macB, "vnet2", false},
		{"10.0.0.2", macA, "vnet1", false},
		{"10.0.0.10", macA, "vnet1", false},
	} {
		if got := reg.IsCandidate(registry.IPv4Of(ip(tt.addr)), mac(tt.mac), tt.port); got != tt.want {
			t.Errorf("%s is a candidate for %s on %s: %v", tt.mac, tt.addr, tt.port, got)
		}
	}
	if !reg.IsRegistered(mac(macB)) || !reg.MaySend(mac(macB), "vnet1") || reg.MayReceive(mac(macB), registry.IPv4Of(ip("10.0.0.5"))) {
		t.Error("a candidate is registered, and receives nothing for an address that it does not hold")
	}
}

func TestHolderChanges(t *testing.T) {
	before := registrytest.New(t, shared("10.0.0.1", "", macA, macB))
	next := shared("10.0.0.1", "", macA, macB)
	next.MAC = mac(macB)
	after, err := before.Edit([]registry.Binding{next}, []registry.Binding{next})
	if err != nil {
		t.Fatal(err)
	}
	d := registry.Diff(before, after)
	if moved := slices.Collect(d.Moved()); len(moved) != 1 || moved[0] != next {
		t.Errorf("moved are %v", moved)
	}
	if !after.IsRegistered(mac(macA)) || !after.IsCandidate(registry.IPv4Of(ip("10.0.0.1")), mac(macA), "") {
		t.Error("the first holder is no candidate any more")
	}
}

func TestInvalidCandidates(t *testing.T) {
	noHolder, isAlone := shared("10.0.0.1", "", macA, macB), alone(macA)
	noHolder.MAC = mac(macC)
	isAlone.Candidates = registrytest.MACs(macA, macB)
	for want, b := range map[string]registry.Binding{
		macC + " is not among the MACs that may hold the addresses": noHolder,
		macA + " is not among the MACs that may hold the addresses": isAlone,
		macB + " is listed twice, or is not a unicast MAC":          shared("10.0.0.1", "", macA, macB, macB),
	} {
		_, err := registry.New(slices.Values([]registry.Binding{b}))
		if errs := bindingErrors(t, err); len(errs) != 1 || errs[0].Problem != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

// checkCandidates expects IsCandidate to compare with the binding that Lookup finds.
func checkCandidates(t *testing.T, reg *registry.Registry, bindings []registry.Binding, addrs []netip.Addr) {
	t.Helper()
	for _, b := range bindings {
		if b.Candidates.IsEmpty() {
			continue
		}
		for _, addr := range addrs {
			found, _ := reg.Lookup(addr)
			want := found.Candidates.Contains(b.MAC) && (found.Port == "" || found.Port == b.Port)
			if got := reg.IsCandidate(registry.IPv4Of(addr), b.MAC, b.Port); got != want {
				t.Errorf("%s is a candidate for %s on %q: %v", b.MAC, addr, b.Port, got)
			}
		}
	}
}
