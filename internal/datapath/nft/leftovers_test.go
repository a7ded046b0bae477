package nft_test

import (
	"net"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/nftables"
)

// TestEmptyPlanAfterABridgeWasRecreated checks that the guard is removed although the bridge whose settings were
// changed is gone, and another bridge has its name.
func TestEmptyPlanAfterABridgeWasRecreated(t *testing.T) {
	d := newDatapath(t)
	t.Cleanup(func() { lab.DeleteLink("br0") })
	labtest.Must(t, lab.AddBridge("br0"))
	applyTo(t, d, datapath.Plan{Networks: []datapath.Network{{
		Name: "lab", Bridge: "br0", Guests: []string{"vnet0"}, AllowList: datapath.Enforce, Registry: &registry.Registry{},
	}}})
	labtest.Must(t, lab.DeleteLink("br0"))
	labtest.Must(t, lab.AddBridge("br0"))
	applyTo(t, d, datapath.Plan{})
	if nft.NewBridgeTable(group).IsThere() {
		t.Error("the guard is still there")
	}
}

// TestIntactAfterAnUnneededTableIsGone checks that Intact does not report a table that another process has deleted, and
// that is no longer needed.
func TestIntactAfterAnUnneededTableIsGone(t *testing.T) {
	for name, plan := range map[string]datapath.Plan{
		"bridge":  plan(guests("vnet0")),
		"sidecar": {Sidecars: []datapath.Sidecar{addInterface(t, "veth0")}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDatapath(t)
			applyTo(t, d, plan)
			deleteTables(t)
			applyTo(t, d, datapath.Plan{})
			if changed := d.Intact(false); len(changed) > 0 {
				t.Errorf("%q is reported", changed)
			}
		})
	}
}

// TestIntactAfterARejectedSidecar does the same with a sidecar that the kernel rejects.
func TestIntactAfterARejectedSidecar(t *testing.T) {
	d := newDatapath(t)
	applyTo(t, d, datapath.Plan{Sidecars: []datapath.Sidecar{addInterface(t, "veth0")}})
	applyTo(t, d, datapath.Plan{})
	refused := datapath.Sidecar{Interface: "no-such-interface", Index: 1 << 20, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	if err := d.Apply(datapath.Plan{Sidecars: []datapath.Sidecar{refused}}, snapshot(t)); err == nil {
		t.Fatal("the kernel guards an interface that is not there")
	}
	applyTo(t, d, datapath.Plan{})
	if changed := d.Intact(false); len(changed) > 0 {
		t.Errorf("%q is reported", changed)
	}
}

// newDatapath makes a Datapath whose guard is removed when the test ends.
func newDatapath(t testing.TB) *nft.Datapath {
	t.Helper()
	d := nft.New()
	t.Cleanup(func() { d.Remove() })
	return d
}

func deleteTables(t *testing.T) {
	t.Helper()
	c, err := nftables.New()
	labtest.Must(t, err)
	for _, family := range []nftables.TableFamily{nftables.TableFamilyBridge, nftables.TableFamilyNetdev} {
		tables, err := c.ListTablesOfFamily(family)
		labtest.Must(t, err)
		for _, table := range tables {
			c.DelTable(table)
		}
	}
	labtest.Must(t, c.Flush())
}
