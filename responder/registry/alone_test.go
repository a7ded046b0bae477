package registry_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder/registry"
)

func TestAlone(t *testing.T) {
	tied := alone(macA)
	tied.Port, tied.Name, tied.Origin = "vnet1", "v6only", registry.Origin{Source: "lab.yaml", Line: 7}
	reg := registrytest.New(t, alone(macB), bind("10.0.0.1", macC), tied)
	if got := slices.Collect(reg.All()); !slices.Equal(got, []registry.Binding{bind("10.0.0.1", macC), tied, alone(macB)}) {
		t.Errorf("All is %v", got)
	}
	if got, ok := reg.LookupAlone(mac(macA)); !ok || got != tied {
		t.Errorf("LookupAlone returns %+v, %v", got, ok)
	}
	if got, ok := reg.LookupAlone(mac(macC)); ok {
		t.Errorf("LookupAlone returns %v for the owner of an address", got)
	}
	if reg.Len() != 3 || len(slices.Collect(reg.Owners())) != 1 {
		t.Errorf("%d bindings with the runs %v", reg.Len(), slices.Collect(reg.Owners()))
	}
	for _, tt := range []struct {
		mac, port string
		want      bool
	}{
		{macA, "vnet1", true},
		{macA, "vnet2", false},
		{macB, "vnet2", true},
		{"02:00:00:00:00:99", "vnet1", false},
	} {
		if got := reg.MaySend(mac(tt.mac), tt.port); got != tt.want {
			t.Errorf("%s may send on %s: %v", tt.mac, tt.port, got)
		}
	}
	if reg.MayReceive(mac(macA), 0) || reg.MayReceive(registry.MAC{}, 0) {
		t.Error("a MAC alone may receive IPv4")
	}
	if got := tied.String() + ", " + tied.Addresses(); got != "02:00:00:00:00:0a, no address" {
		t.Error(got)
	}
}

func TestAloneErrors(t *testing.T) {
	first, second := alone(macA), alone(macA)
	first.Origin, second.Origin = registry.Origin{Source: "lab.yaml", Line: 7}, registry.Origin{Source: "lab.yaml", Line: 9}
	_, err := registry.New(slices.Values([]registry.Binding{second, alone("01:00:5e:00:00:01"), first, bind("10.0.0.1", macA)}))
	got := strings.Split(err.Error(), "\n")
	slices.Sort(got)
	want := []string{
		"01:00:5e:00:00:01: 01:00:5e:00:00:01 is not a unicast MAC (it is zero, broadcast or multicast)",
		"lab.yaml:9: 02:00:00:00:00:0a: the MAC is bound alone twice (see lab.yaml:7)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	_, err = registrytest.New(t, alone(macA)).Edit([]registry.Binding{alone(macB)}, []registry.Binding{alone(macA)})
	if errs := bindingErrors(t, err); len(errs) != 2 {
		t.Errorf("problems are %v", errs)
	}
}

// TestRouterIsRegistered has routers that own no address, because narrower bindings have them all, or for they have none.
func TestRouterIsRegistered(t *testing.T) {
	router := alone(macC)
	router.Routes = registrytest.Prefixes("10.9.0.0/24")
	reg := registrytest.New(t, route("10.0.0.0-10.0.0.1", macA, "", "10.9.0.0/24"), bind("10.0.0.0", macB), bind("10.0.0.1", macB), router)
	for _, m := range []string{macA, macC} {
		if !reg.IsRegistered(mac(m)) || !reg.IsRouter(mac(m)) {
			t.Errorf("%s is no registered router", m)
		}
	}
}
