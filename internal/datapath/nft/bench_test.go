package nft_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/nftables"
)

// manyBindings is the number of bindings in the benchmarks' registries.
const manyBindings = 100_000

// BenchmarkApply installs a guard with many bindings.
func BenchmarkApply(b *testing.B) {
	p := planOfMany(b, 0)
	for range b.N {
		b.StopTimer()
		g := nft.NewBridgeTable(group)
		if err := g.Remove(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := g.Apply(p); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	removeAtEnd(b)
}

// BenchmarkApplyOneChange binds one of many addresses to another MAC, and back.
func BenchmarkApplyOneChange(b *testing.B) {
	plans := []datapath.Plan{planOfMany(b, 0), planOfMany(b, 1)}
	g := applied(b, plans[0])
	b.ResetTimer()
	for i := range b.N {
		if err := g.Apply(plans[(i+1)%2]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIntact checks a guard with many bindings: when no process has changed nftables since the last check, and
// when a process has changed another table.
func BenchmarkIntact(b *testing.B) {
	for _, last := range []struct {
		name string
		then func() error
	}{
		{"untouched", func() error { return nil }},
		{"others-changed", changeAnotherTable},
	} {
		b.Run(last.name, func(b *testing.B) {
			g := applied(b, planOfMany(b, 0))
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				if err := last.then(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if !g.Intact() {
					b.Fatal("it is not")
				}
			}
		})
	}
}

// planOfMany returns a plan whose first bindings, changed of them, differ from those of planOfMany(b, 0).
func planOfMany(b testing.TB, changed int) datapath.Plan {
	b.Helper()
	bindings := make([]registry.Binding, manyBindings)
	for i := range bindings {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		mac := registry.MAC{0x02, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
		if i < changed {
			mac[1] = 1
		}
		bindings[i] = registry.Binding{First: addr, Last: addr, MAC: mac}
	}
	registry, err := registry.New(slices.Values(bindings))
	if err != nil {
		b.Fatal(err)
	}
	return plan(guests("vnet0", "vnet1"), func(n *datapath.Network) {
		n.AllowList, n.Registry, n.RateLimit = datapath.Enforce, registry, 10_000
	})
}

func applied(b *testing.B, p datapath.Plan) *nft.BridgeTable {
	b.Helper()
	removeAtEnd(b)
	g := nft.NewBridgeTable(group)
	if err := g.Apply(p); err != nil {
		b.Fatal(err)
	}
	return g
}

func removeAtEnd(b *testing.B) {
	b.Cleanup(func() { nft.NewBridgeTable(group).Remove() })
}

// changeAnotherTable changes another program's table.
func changeAnotherTable() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	other := &nftables.Table{Name: "another_program", Family: nftables.TableFamilyBridge}
	c.AddTable(other)
	c.AddChain(&nftables.Chain{Table: other, Name: "chain"})
	c.DelTable(other)
	return c.Flush()
}
