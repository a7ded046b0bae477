package plan_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/plan"
	"github.com/google/go-cmp/cmp"
)

// running is a fabric with the networks lab and old.
var running = plan.Running{
	Networks: []api.Network{
		{Name: "lab", Mode: "vpc", Attach: "bridge br0", Guard: "full"},
		{Name: "old", Mode: "vpc", Attach: "bridge br7", Guard: "full"},
	},
	Bindings: map[string][]api.NetworkBinding{
		"lab": {
			binding("10.239.0.1", "02:00:00:de:54:a8", "", api.FromConfig),
			binding("10.239.0.101", "02:00:06:de:54:a8", "vnet2", api.FromConfig),
			binding("10.239.0.102", "02:00:07:de:54:a8", "", api.FromConfig),
			binding("10.239.0.110", "02:00:0a:de:54:a8", "vnet5", api.FromStore),
			outside("10.239.0.101", "02:00:0b:de:54:a8"),
		},
		"old": {binding("10.1.0.1", "02:00:00:de:55:a8", "", api.FromConfig)},
	},
}

func binding(addr, mac, port string, source api.Source) api.NetworkBinding {
	a := netip.MustParseAddr(addr)
	return api.NetworkBinding{Binding: api.Binding{First: a, Last: a, MAC: mac, Port: port}, Source: source}
}

func outside(addr, mac string) api.NetworkBinding {
	b := binding(addr, mac, "", api.FromStore)
	b.NotInForce = "the configuration binds it"
	return b
}

func TestCompare(t *testing.T) {
	const same = `
      10.239.0.1: "02:00:00:de:54:a8"
      10.239.0.101: {mac: "02:00:06:de:54:a8", port: vnet2, name: renamed}
      10.239.0.102: "02:00:07:de:54:a8"
`
	const old = "  old: {attach: {bridge: br7}, registry: {10.1.0.1: \"02:00:00:de:55:a8\"}}\n"
	lab := func(attach, registry string) string {
		return "networks:\n  lab:\n    attach: " + attach + "\n    registry:" + registry
	}
	tests := []struct {
		name, yaml string
		want       []string
	}{
		{"nothing", lab("{bridge: br0}", same) + old, nil},
		{"a binding more", lab("{bridge: br0}", same+"      10.239.0.9: {mac: \"02:00:09:de:54:a8\", port: vnet9}\n") + old,
			[]string{"lab change", "+ 10.239.0.9 02:00:09:de:54:a8", "port vnet9"}},
		{"one less, and the allocation of its address", lab("{bridge: br0}", strings.Replace(same, "10.239.0.101:", "10.239.0.103:", 1)) + old,
			[]string{"lab change", "+ 10.239.0.103 02:00:06:de:54:a8", "~ 10.239.0.101 02:00:06:de:54:a8 02:00:0b:de:54:a8", "port vnet2"}},
		{"one removed", lab("{bridge: br0}", "\n      10.239.0.1: \"02:00:00:de:54:a8\"\n      10.239.0.101: {mac: \"02:00:06:de:54:a8\", port: vnet2}\n") + old,
			[]string{"lab change", "- 10.239.0.102 02:00:07:de:54:a8"}},
		{"an allocation whose address is bound", lab("{bridge: br0}", same+"      10.239.0.110: \"02:00:0c:de:54:a8\"\n") + old,
			[]string{"lab change", "~ 10.239.0.110 02:00:0a:de:54:a8 02:00:0c:de:54:a8", "port vnet5"}},
		{"another port", lab("{bridge: br0}", strings.Replace(same, "vnet2", "vnet3", 1)) + old,
			[]string{"lab change", "~ 10.239.0.101 02:00:06:de:54:a8 02:00:06:de:54:a8", "port vnet2", "port vnet3"}},
		{"an address that moves, and keeps its holder", lab("{bridge: br0}", strings.Replace(same, `10.239.0.102: "02:00:07:de:54:a8"`,
			`10.239.0.102: {macs: ["02:00:09:de:54:a8", "02:00:07:de:54:a8"]}`, 1)) + old,
			[]string{"lab change", "~ 10.239.0.102 02:00:07:de:54:a8 02:00:07:de:54:a8"}},
		{"routes", lab("{bridge: br0}", strings.Replace(same, `10.239.0.102: "02:00:07:de:54:a8"`,
			`10.239.0.102: {mac: "02:00:07:de:54:a8", routes: [0.0.0.0/0]}`, 1)) + old,
			[]string{"lab change", "~ 10.239.0.102 02:00:07:de:54:a8 02:00:07:de:54:a8"}},
		{"an address that moves, without its holder", lab("{bridge: br0}", strings.Replace(same, `10.239.0.102: "02:00:07:de:54:a8"`,
			`10.239.0.102: {macs: ["02:00:09:de:54:a8", "02:00:0a:de:54:a8"]}`, 1)) + old,
			[]string{"lab change", "~ 10.239.0.102 02:00:07:de:54:a8 02:00:09:de:54:a8"}},
		{"settings", lab("{bridge: br1}\n    mode: classic", same) + old,
			[]string{"lab change", "mode vpc classic", "attach bridge br0 bridge br1", "guard full none"}},
		{"networks", lab("{bridge: br0}", same) + "  new: {attach: {bridge: br8}, allow_empty: true}\n",
			[]string{"new add", "old remove", "- 10.1.0.1 02:00:00:de:55:a8"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := config.Load(labtest.TempFile(t, "lab.yaml", tt.yaml))
			labtest.Must(t, err)
			if diff := cmp.Diff(tt.want, lines(plan.Compare(cfg, running))); diff != "" {
				t.Errorf("plan (-want +got)\n%s", diff)
			}
		})
	}
}

func lines(p api.Plan) (all []string) {
	for _, n := range p.Networks {
		all = append(all, n.Network+" "+string(n.Kind))
		for _, s := range n.Settings {
			all = append(all, s.Name+" "+s.Before+" "+s.After)
		}
		for _, b := range n.Added {
			all = append(all, "+ "+b.First.String()+" "+b.MAC)
		}
		for _, b := range n.Removed {
			all = append(all, "- "+b.First.String()+" "+b.MAC)
		}
		for _, m := range n.Moved {
			all = append(all, "~ "+m.Before.First.String()+" "+m.Before.MAC+" "+m.After.MAC)
		}
		for _, port := range n.Ports {
			all = append(all, "port "+port)
		}
	}
	return all
}

// TestSources keeps the bindings in force of sources that stay.
func TestSources(t *testing.T) {
	leased := binding("10.239.0.50", "02:00:0c:de:54:a8", "", api.FromDnsmasqLeases)
	leased.Origin = "/leases:1"
	elsewhere := binding("10.239.0.51", "02:00:0d:de:54:a8", "", api.FromDnsmasqLeases)
	elsewhere.Origin = "/others:1"
	before := plan.Running{
		Networks: running.Networks[:1],
		Bindings: map[string][]api.NetworkBinding{"lab": {running.Bindings["lab"][0], leased, elsewhere}},
	}
	next, err := config.Load(labtest.TempFile(t, "lab.yaml", `
networks:
  lab:
    attach: {bridge: br0}
    registry: {10.239.0.1: "02:00:00:de:54:a8"}
    sources: [{dnsmasq_leases: /leases}]
`))
	labtest.Must(t, err)
	p := plan.Compare(next, before)
	if len(p.Networks) != 1 || len(p.Networks[0].Added) != 0 || len(p.Networks[0].Removed) != 1 || p.Networks[0].Removed[0].Origin != "/others:1" {
		t.Errorf("%+v", p)
	}
}
