package bpf

import (
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// TestGrows applies registries that need ever larger maps, of addresses, of ranges and of locations. After each, the port
// has one program, and it answers for the last binding.
func TestGrows(t *testing.T) {
	addPorts(t)
	d, links := open(t)
	port, _ := links.Find(guestPorts[0])
	for _, size := range []struct{ bindings, width uint32 }{{10, 1}, {5_000, 1}, {5_000, 3}, {10, 1}, {20_000, 1}} {
		r := registrytest.Many(t, size.bindings, size.width)
		app := registrytest.MACOf(0)
		n := datapath.Network{
			Name: "lab", Bridge: "br0", Guests: guestPorts, ARP: datapath.HandOver, AllowList: datapath.Enforce, Registry: r,
			Locations: map[registry.MAC]datapath.Location{app: {Port: guestPorts[0]}},
		}
		for i := range min(size.bindings, 3_000) {
			n.Locations[registrytest.MACOf(i+1)] = datapath.Location{Port: guestPorts[1]}
		}
		labtest.Must(t, d.Apply(datapath.Plan{Networks: []datapath.Network{n}}, links))
		if warnings := d.Warnings(); d.program == nil {
			t.Fatalf("%+v: no program: %q", size, warnings)
		}
		found, err := places(nil)
		labtest.Must(t, err)
		if at := found[uint32(port.Index)]; at.hasOthers || !at.has(idOf(d.program.Arpfabric)) {
			t.Errorf("%+v: the port has %+v", size, at)
		}
		first, last := registrytest.Addr(registrytest.FirstIP), registrytest.Addr(registrytest.FirstIP+size.bindings*size.width-1)
		got := run(t, d.program.Arpfabric, port.Index, lab.Request(app[:], first, last).Frame())
		if !got.isHandled || got.reason != responder.Answered || registry.MAC(got.frame[6:12]) != registrytest.MACOf(size.bindings-1) {
			t.Errorf("%+v: a request for the last address: %+v", size, got)
		}
	}
	counters, err := d.Counters()
	labtest.Must(t, err)
	answered := responder.Verdict{Action: responder.Reply, Reason: responder.Answered}
	if n := counters[guestPorts[0]].Handled[answered]; n != 5 {
		t.Errorf("%d requests were answered, want 5", n)
	}
}
