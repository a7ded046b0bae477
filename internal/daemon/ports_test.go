package daemon

import (
	"slices"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/go-cmp/cmp"
)

// TestMACsBehind checks that a MAC behind a port has the addresses and the name of its bindings, in its own network.
func TestMACsBehind(t *testing.T) {
	cfg, err := config.Load(labtest.TempFile(t, "lab.yaml", `
networks:
  lab:
    attach: {bridge: br0}
    registry:
      10.239.0.101: "02:00:06:de:54:a8"
      10.239.0.102: {mac: "02:00:07:de:54:a8", name: db}
      10.239.0.128-10.239.0.191: {mac: "02:00:07:de:54:a8", name: pool}
      "02:00:08:de:54:a8": {name: v6only}
  other:
    attach: {bridge: br1}
    registry:
      10.240.0.101: "02:00:06:de:54:a8"
`))
	labtest.Must(t, err)
	since := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	at := func(network string, n byte, port string) fabric.Located {
		return fabric.Located{Network: network, MAC: registry.MAC{2, 0, n, 0xde, 0x54, 0xa8}, Port: port, Since: since, From: fabric.FromARP}
	}
	got := macsBehind([]fabric.Located{
		at("lab", 6, "vnet1"), at("lab", 7, "vnet1"), at("lab", 8, "vnet2"), at("other", 6, "vnet9"),
	}, cfg.Networks)
	is := func(mac, name string, addresses ...string) api.LocatedMAC {
		return api.LocatedMAC{MAC: mac, Since: since, From: "arp", Addresses: slices.Clip(addresses), Name: name}
	}
	want := map[portOf][]api.LocatedMAC{
		{"lab", "vnet1"}: {
			is("02:00:06:de:54:a8", "", "10.239.0.101"),
			is("02:00:07:de:54:a8", "db", "10.239.0.102", "10.239.0.128-10.239.0.191"),
		},
		{"lab", "vnet2"}:   {is("02:00:08:de:54:a8", "v6only")},
		{"other", "vnet9"}: {is("02:00:06:de:54:a8", "", "10.240.0.101")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
