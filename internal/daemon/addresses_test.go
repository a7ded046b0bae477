package daemon

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/go-cmp/cmp"
)

// testMap is a map of a network whose registry is written as YAML, with 02:00:00:00:00:01 active.
func testMap(t *testing.T, subnet, bindings string, violated []netip.Addr, after string, limit int) (m api.AddressMap) {
	t.Helper()
	text := "networks:\n  lab:\n    attach: {bridge: br0}\n    registry: {" + bindings + "}\n"
	if subnet != "" {
		text += "    subnet: " + subnet + "\n"
	}
	cfg, err := config.Load(labtest.TempFile(t, "lab.yaml", text))
	labtest.Must(t, err)
	var begin netip.Addr
	if after != "" {
		begin = netip.MustParseAddr(after)
	}
	isActive := func(mac registry.MAC) bool { return mac == registry.MAC{2, 0, 0, 0, 0, 1} }
	return mapAddresses(&cfg.Networks[0], isActive, violated, begin, limit)
}

// block is a block whose states begin with a text, and are then all of one state, except the last.
func block(first, states, then, last string) api.AddressBlock {
	states += strings.Repeat(then, blockSize-len(states)-len(last)) + last
	return api.AddressBlock{First: netip.MustParseAddr(first), States: states}
}

func TestAddressMap(t *testing.T) {
	const active, silent = `"02:00:00:00:00:01"`, `"02:00:00:00:00:02"`
	addr := netip.MustParseAddr
	for _, tt := range []struct {
		name, subnet, bindings string
		violated               []netip.Addr
		after                  string
		limit                  int
		want                   api.AddressMap
	}{
		{
			name: "subnet", subnet: "10.0.0.0/24", bindings: "10.0.0.1: " + active + ", 10.0.0.3: " + silent,
			violated: []netip.Addr{addr("10.0.0.3"), addr("10.0.0.5"), addr("10.9.0.5"), {}}, limit: 9,
			want: api.AddressMap{Subnet: "10.0.0.0/24", Blocks: []api.AddressBlock{block("10.0.0.0", "-A.!.!", ".", "-")}},
		},
		{
			name: "free blocks are left out", subnet: "10.0.0.0/16", bindings: "10.0.2.1: " + active,
			violated: []netip.Addr{addr("10.0.255.1")}, limit: 9,
			want: api.AddressMap{Subnet: "10.0.0.0/16", Blocks: []api.AddressBlock{
				block("10.0.2.0", ".A", ".", ""), block("10.0.255.0", ".!", ".", "-"),
			}},
		},
		{
			name: "small subnets", subnet: "10.0.0.4/31", bindings: "10.0.0.4: " + active + ", 10.0.0.5: " + silent, limit: 9,
			want: api.AddressMap{Subnet: "10.0.0.4/31", Blocks: []api.AddressBlock{block("10.0.0.0", "----Aa", "-", "")}},
		},
		{
			name: "no subnet", bindings: "10.0.0.0: " + active + `, "02:00:00:00:00:05": {}`,
			violated: []netip.Addr{addr("10.0.9.9"), addr("10.0.0.255")}, limit: 9,
			want: api.AddressMap{Blocks: []api.AddressBlock{block("10.0.0.0", "A", ".", "!")}},
		},
		{
			name: "limit", bindings: "10.0.0.1-10.0.2.5: " + silent + ", 10.0.0.2: " + active, limit: 1,
			want: api.AddressMap{Blocks: []api.AddressBlock{block("10.0.0.0", ".aA", "a", "")}, After: "10.0.0.0"},
		},
		{
			name: "after, in a range", bindings: "10.0.0.1-10.0.2.5: " + silent, after: "10.0.0.0", limit: 2,
			want: api.AddressMap{Blocks: []api.AddressBlock{
				block("10.0.1.0", "", "a", ""), block("10.0.2.0", "aaaaaa", ".", ""),
			}},
		},
		{
			name: "after, with a violation before it", subnet: "10.0.0.0/16", bindings: "10.0.0.1: " + silent + ", 10.0.2.5: " + silent,
			violated: []netip.Addr{addr("10.0.0.1"), addr("10.0.1.1")}, after: "10.0.1.7", limit: 2,
			want: api.AddressMap{Subnet: "10.0.0.0/16", Blocks: []api.AddressBlock{block("10.0.2.0", ".....a", ".", "")}},
		},
		{
			name: "violations count as blocks", subnet: "10.0.0.0/16", bindings: "10.0.0.1: " + silent + ", 10.0.2.5: " + silent,
			violated: []netip.Addr{addr("10.0.1.1")}, limit: 2,
			want: api.AddressMap{Subnet: "10.0.0.0/16", After: "10.0.1.0", Blocks: []api.AddressBlock{
				block("10.0.0.0", "-a", ".", ""), block("10.0.1.0", ".!", ".", ""),
			}},
		},
		{
			name: "nothing behind", bindings: "10.0.0.1: " + silent, after: "255.255.255.0", limit: 2,
			want: api.AddressMap{Blocks: []api.AddressBlock{}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := testMap(t, tt.subnet, tt.bindings, tt.violated, tt.after, tt.limit)
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
