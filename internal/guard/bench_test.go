package guard_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/nftables"
)

// manyBindings is how many the benchmarks' registries have.
const manyBindings = 100_000

// BenchmarkApply puts the guard of many bindings where there is none.
func BenchmarkApply(b *testing.B) {
	p := planOfMany(b, 0)
	for range b.N {
		b.StopTimer()
		g := guard.New(group)
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

// BenchmarkApplyOneChange gives one of many addresses to another MAC, and back.
func BenchmarkApplyOneChange(b *testing.B) {
	plans := []guard.Plan{planOfMany(b, 0), planOfMany(b, 1)}
	g := applied(b, plans[0])
	b.ResetTimer()
	for i := range b.N {
		if err := g.Apply(plans[(i+1)%2]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIntact looks whether the guard of many bindings is intact: when nobody has changed anything since it
// was looked at last, and when somebody has changed another table.
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

// planOfMany is a plan of which the first bindings, as many as it says, differ from those of planOfMany(b, 0).
func planOfMany(b testing.TB, changed int) guard.Plan {
	b.Helper()
	bindings := make([]responder.Binding, manyBindings)
	for i := range bindings {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		mac := responder.MAC{0x02, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
		if i < changed {
			mac[1] = 1
		}
		bindings[i] = responder.Binding{First: addr, Last: addr, MAC: mac}
	}
	registry, err := responder.NewRegistry(slices.Values(bindings))
	if err != nil {
		b.Fatal(err)
	}
	return plan(guests("vnet0", "vnet1"), func(n *guard.Network) {
		n.AllowList, n.Registry, n.RateLimit = guard.Enforce, registry, 10_000
	})
}

func applied(b *testing.B, p guard.Plan) *guard.Guard {
	b.Helper()
	removeAtEnd(b)
	g := guard.New(group)
	if err := g.Apply(p); err != nil {
		b.Fatal(err)
	}
	return g
}

func removeAtEnd(b *testing.B) {
	b.Cleanup(func() { guard.New(group).Remove() })
}

// changeAnotherTable changes somebody else's table.
func changeAnotherTable() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	other := &nftables.Table{Name: "somebody_elses", Family: nftables.TableFamilyBridge}
	c.AddTable(other)
	c.AddChain(&nftables.Chain{Table: other, Name: "chain"})
	c.DelTable(other)
	return c.Flush()
}
