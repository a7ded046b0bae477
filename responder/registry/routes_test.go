package registry_test

import (
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// route returns a binding with routes.
func route(addresses, mac, port string, routes ...string) registry.Binding {
	b := bind(addresses, mac)
	b.Port, b.Routes = port, registrytest.Prefixes(routes...)
	return b
}

func TestRoutes(t *testing.T) {
	run := func(first, last, owner, port string) registry.Route {
		return registry.Route{First: ip(first), Last: ip(last), MAC: mac(owner), Port: port}
	}
	tests := []struct {
		name     string
		bindings []registry.Binding
		want     []registry.Route
	}{
		{"no router", []registry.Binding{bind("10.0.0.1", macA)}, nil},
		{
			"everything that a host can have",
			[]registry.Binding{route("10.0.0.1", macA, "", "0.0.0.0/0")},
			[]registry.Route{run("1.0.0.0", "126.255.255.255", macA, ""), run("128.0.0.0", "223.255.255.255", macA, "")},
		},
		{
			"overlapping and adjacent prefixes of several bindings are merged",
			[]registry.Binding{
				route("10.0.0.1", macA, "", "10.9.1.0/24", "10.9.0.0/24"), route("10.0.0.8-10.0.0.9", macA, "", "10.9.0.128/25", "10.7.0.0/32"),
			},
			[]registry.Route{run("10.7.0.0", "10.7.0.0", macA, ""), run("10.9.0.0", "10.9.1.255", macA, "")},
		},
		{
			"each router and each port has its own",
			[]registry.Binding{
				route("10.0.0.1", macA, "vnet1", "10.9.0.0/24"), route("10.0.0.2", macB, "", "10.9.0.0/24"), route("10.0.0.3", macA, "", "10.9.0.0/24"),
			},
			[]registry.Route{
				run("10.9.0.0", "10.9.0.255", macA, ""), run("10.9.0.0", "10.9.0.255", macA, "vnet1"), run("10.9.0.0", "10.9.0.255", macB, ""),
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := slices.Collect(registrytest.New(t, tt.bindings...).Routes())
			if diff := cmp.Diff(tt.want, got, comparable); diff != "" {
				t.Errorf("Routes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRoutesTo(t *testing.T) {
	reg := registrytest.New(t, route("10.0.0.1", macA, "vnet1", "10.9.0.0/24"), route("10.0.0.2", macA, "", "10.9.0.128/25", "10.9.1.0/24"),
		route("10.0.0.3", macA, "vnet2", "10.7.0.0/16"))
	want := []registry.Route{
		{First: ip("10.7.0.0"), Last: ip("10.7.255.255"), MAC: mac(macA)}, {First: ip("10.9.0.0"), Last: ip("10.9.1.255"), MAC: mac(macA)},
	}
	if diff := cmp.Diff(want, slices.Collect(reg.RoutesTo()), comparable); diff != "" {
		t.Errorf("RoutesTo (-want +got):\n%s", diff)
	}
}

func TestRouters(t *testing.T) {
	reg := registrytest.New(t,
		route("10.0.0.1", macA, "vnet1", "10.9.0.0/24"), bind("10.0.0.2", macB), route("10.0.0.3", macC, "", "0.0.0.0/0"), bind("10.9.0.7", macB))
	if !reg.IsRouter(mac(macA)) || reg.IsRouter(mac(macB)) || !reg.IsRouter(mac(macC)) {
		t.Error("the owners of routes are A and C")
	}
	for _, tt := range []struct {
		mac, addr, port        string
		mayForward, mayReceive bool
	}{
		{macA, "10.0.0.1", "vnet1", false, true}, // its own address needs no route
		{macA, "10.9.0.0", "vnet1", true, true},
		{macA, "10.9.0.255", "vnet1", true, true},
		{macA, "10.9.0.9", "vnet2", false, true},
		{macA, "10.9.0.7", "vnet1", true, true}, // taken literally: also for an address that is bound to another
		{macA, "10.8.255.255", "vnet1", false, false},
		{macA, "10.9.1.0", "vnet1", false, false},
		{macB, "10.9.0.7", "vnet3", false, true},
		{macB, "10.9.0.8", "vnet3", false, false},
		{macC, "10.0.0.2", "vnet3", true, true},
		{macC, "8.8.8.8", "vnet3", true, true},
		{macC, "0.0.0.0", "vnet3", false, false},
		{macC, "127.0.0.1", "vnet3", false, false},
		{macC, "224.0.0.251", "vnet3", false, false},
		{macC, "255.255.255.255", "vnet3", false, false},
	} {
		addr := registry.IPv4Of(ip(tt.addr))
		if got := reg.MayForward(mac(tt.mac), addr, tt.port); got != tt.mayForward {
			t.Errorf("%s may send from %s on %s: %v; want %v", tt.mac, tt.addr, tt.port, got, tt.mayForward)
		}
		if got := reg.MayReceive(mac(tt.mac), addr); got != tt.mayReceive {
			t.Errorf("%s may receive for %s: %v; want %v", tt.mac, tt.addr, got, tt.mayReceive)
		}
	}
}

func TestRoutesOfABinding(t *testing.T) {
	want := route("10.0.0.0-10.0.0.9", macA, "", "10.9.0.0/24", "192.168.0.0/16")
	reg := registrytest.New(t, want, bind("10.0.0.1", macB))
	if got, _ := reg.Lookup(ip("10.0.0.5")); got != want {
		t.Errorf("Lookup returns %+v; want %+v", got, want)
	}
	if got, _ := reg.Lookup(ip("10.0.0.1")); !got.Routes.IsEmpty() {
		t.Errorf("%v has the routes %s", got, got.Routes)
	}
	if got := want.Routes.String(); got != "10.9.0.0/24, 192.168.0.0/16" {
		t.Errorf("the routes are %q", got)
	}
	if !want.Routes.Contains(ip("10.9.0.3")) || want.Routes.Contains(ip("10.8.0.3")) {
		t.Error("Contains is wrong")
	}
}

func TestInvalidRoutes(t *testing.T) {
	for prefix, want := range map[string]string{
		"10.9.0.1/24":  "the route 10.9.0.1/24 has host bits set; the prefix is 10.9.0.0/24",
		"127.0.0.0/8":  "the route 127.0.0.0/8 has no address that a host can have",
		"224.0.0.0/24": "the route 224.0.0.0/24 has no address that a host can have",
	} {
		_, err := registry.New(slices.Values([]registry.Binding{route("10.0.0.1", macA, "", prefix)}))
		if errs := bindingErrors(t, err); len(errs) != 1 || errs[0].Problem != want {
			t.Errorf("%s: %v; want %s", prefix, err, want)
		}
	}
}

func TestEditChangesRoutes(t *testing.T) {
	before := registrytest.New(t, route("10.0.0.1", macA, "", "0.0.0.0/0"), bind("10.0.0.2", macB))
	after, err := before.Edit([]registry.Binding{bind("10.0.0.2", macB)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(routesOf(before.Routes()), routesOf(after.Routes())) {
		t.Error("an edit of another binding has changed the routes")
	}
	without, err := after.Edit([]registry.Binding{bind("10.0.0.1", macA)}, []registry.Binding{bind("10.0.0.1", macA)})
	if err != nil {
		t.Fatal(err)
	}
	if registry.Diff(after, without).IsEmpty() || without.IsRouter(mac(macA)) {
		t.Errorf("the routes are %v", routesOf(without.Routes()))
	}
}

func randomRoutes(rng *rand.Rand) registry.Prefixes {
	var list []netip.Prefix
	for range 1 + rng.IntN(4) {
		list = append(list, netip.PrefixFrom(registrytest.Addr((1+rng.Uint32N(100))<<24|rng.Uint32N(1<<24)), rng.IntN(33)).Masked())
	}
	return registry.PrefixesOf(list...)
}

// checkRouters expects each MAC to have the routes of its bindings.
func checkRouters(t *testing.T, reg *registry.Registry, bindings []registry.Binding, addrs []netip.Addr) {
	t.Helper()
	canHave := func(addr netip.Addr) bool { return addr.As4()[0] != 0 && registry.IPv4Of(addr).CanBeSource() }
	for _, router := range bindings {
		if router.Routes.IsEmpty() {
			continue
		}
		for _, addr := range addrs {
			routed := func(b registry.Binding) bool { return b.MAC == router.MAC && b.Routes.Contains(addr) && canHave(addr) }
			want := slices.ContainsFunc(bindings, func(b registry.Binding) bool {
				return routed(b) && (b.Port == "" || b.Port == router.Port)
			})
			if got := reg.MayForward(router.MAC, registry.IPv4Of(addr), router.Port); got != want {
				t.Errorf("%s may send from %s on %q: %v", router.MAC, addr, router.Port, got)
			}
			owner, _ := reg.Lookup(addr)
			want = owner.MAC == router.MAC || slices.ContainsFunc(bindings, routed)
			if got := reg.MayReceive(router.MAC, registry.IPv4Of(addr)); got != want {
				t.Errorf("%s may receive for %s: %v", router.MAC, addr, got)
			}
		}
	}
}

func routesOf(routes iter.Seq[registry.Route]) map[registry.Route]bool {
	all := map[registry.Route]bool{}
	for r := range routes {
		all[r] = true
	}
	return all
}
