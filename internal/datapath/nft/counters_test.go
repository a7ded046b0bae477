package nft_test

import (
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// TestCounters adds elements with counters to the sets, as the kernel does for frames.
func TestCounters(t *testing.T) {
	g := nft.NewBridgeTable(group)
	if counters, err := g.Counters(); err != nil || len(counters) > 0 {
		t.Errorf("without a table: %v, error %v", counters, err)
	}
	apply(t, g, fullPlan(t))
	if counters, err := g.Counters(); err != nil || len(counters) > 0 {
		t.Errorf("before any frame: %v, error %v", counters, err)
	}
	putCounter(t, "refused", "vnet0", 7)
	putCounter(t, "over_limit", "vnet0", 8)
	putCounter(t, "over_limit", "vnet1", 9)
	counters, err := g.Counters()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]datapath.Counters{
		"vnet0": {Refused: 7, Dropped: map[responder.Reason]uint64{responder.RateLimited: 8}},
		"vnet1": {Dropped: map[responder.Reason]uint64{responder.RateLimited: 9}},
	}
	if diff := cmp.Diff(want, counters); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func putCounter(t *testing.T, set, port string, packets uint64) {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.GetSetByName(&nftables.Table{Name: nft.TableName, Family: nftables.TableFamilyBridge}, set)
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
