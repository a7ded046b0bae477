package fabric

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/responder/registry"
)

var macs = map[byte]registry.MAC{'a': {2, 0, 0, 0, 0, 0xa}, 'b': {2, 0, 0, 0, 0, 0xb}}

// registryOf reads bindings such as "10.0.0.1 a" and "10.0.0.1-10.0.0.9 b".
func registryOf(t *testing.T, bindings ...[3]string) *registry.Registry {
	t.Helper()
	var list []registry.Binding
	for _, b := range bindings {
		list = append(list, registry.Binding{
			First: netip.MustParseAddr(b[0]), Last: netip.MustParseAddr(b[1]), MAC: macs[b[2][0]],
		})
	}
	r, err := registry.New(slices.Values(list))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMovedAddresses(t *testing.T) {
	type bindings = [][3]string
	one := func(addr, mac string) [3]string { return [3]string{addr, addr, mac} }
	addr := netip.MustParseAddr
	tests := []struct {
		name          string
		before, after bindings
		want          map[netip.Addr]registry.MAC
	}{
		{"nothing changed", bindings{one("10.0.0.1", "a")}, bindings{one("10.0.0.1", "a")}, nil},
		{"added and removed", bindings{one("10.0.0.1", "a")}, bindings{one("10.0.0.2", "a")}, nil},
		{
			"another MAC",
			bindings{one("10.0.0.1", "a"), one("10.0.0.2", "a")},
			bindings{one("10.0.0.1", "b"), one("10.0.0.2", "a")},
			map[netip.Addr]registry.MAC{addr("10.0.0.1"): macs['b']},
		},
		{
			"out of a range",
			bindings{{"10.0.0.1", "10.0.0.3", "a"}},
			bindings{{"10.0.0.1", "10.0.0.3", "a"}, one("10.0.0.2", "b")},
			map[netip.Addr]registry.MAC{addr("10.0.0.2"): macs['b']},
		},
		{
			"back into a range",
			bindings{{"10.0.0.1", "10.0.0.3", "a"}, one("10.0.0.2", "b")},
			bindings{{"10.0.0.1", "10.0.0.3", "a"}},
			map[netip.Addr]registry.MAC{addr("10.0.0.2"): macs['a']},
		},
		{
			"a range",
			bindings{{"10.0.0.1", "10.0.0.2", "a"}},
			bindings{{"10.0.0.1", "10.0.0.2", "b"}},
			map[netip.Addr]registry.MAC{addr("10.0.0.1"): macs['b'], addr("10.0.0.2"): macs['b']},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := maps.Collect(movedAddresses(registry.Diff(registryOf(t, tt.before...), registryOf(t, tt.after...))))
			if !maps.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	wide := maps.Collect(movedAddresses(registry.Diff(
		registryOf(t, [3]string{"10.0.0.0", "10.255.255.255", "a"}), registryOf(t, [3]string{"10.0.0.0", "10.255.255.255", "b"}))))
	if len(wide) != maxInformed {
		t.Errorf("%d addresses of a wide range, want %d", len(wide), maxInformed)
	}
}
