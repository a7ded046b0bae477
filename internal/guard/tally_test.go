package guard_test

import (
	"testing"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// TestTallies puts counters where frames would, as the kernel names and dumps them.
func TestTallies(t *testing.T) {
	g := guard.New(group)
	if tallies, err := g.Tallies(); err != nil || len(tallies) > 0 {
		t.Errorf("without a table: %v, error %v", tallies, err)
	}
	apply(t, g, fullPlan(t))
	if tallies, err := g.Tallies(); err != nil || len(tallies) > 0 {
		t.Errorf("before any frame: %v, error %v", tallies, err)
	}
	putCounter(t, "refused", "vnet0", 7)
	putCounter(t, "curbed", "vnet0", 8)
	putCounter(t, "curbed", "vnet1", 9)
	tallies, err := g.Tallies()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]guard.Tally{"vnet0": {Refused: 7, Curbed: 8}, "vnet1": {Curbed: 9}}
	if diff := cmp.Diff(want, tallies); diff != "" {
		t.Errorf("tallies (-want +got):\n%s", diff)
	}
}

func putCounter(t *testing.T, set, port string, packets uint64) {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.GetSetByName(&nftables.Table{Name: guard.TableName, Family: nftables.TableFamilyBridge}, set)
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 16)
	copy(key, port)
	if err := c.SetAddElements(s, []nftables.SetElement{{Key: key, Counter: &expr.Counter{Packets: packets}}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}
