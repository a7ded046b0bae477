package config

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/responder/registry"
)

func TestSummary(t *testing.T) {
	one := registryOf(t, "10.239.0.1")
	three := registryOf(t, "10.239.0.1", "10.239.0.101", "10.239.0.102")
	eth := []string{"eth1", "eth2"}
	tests := []struct {
		network Network
		want    string
	}{
		{
			Network{Mode: VPC, Attach: Attachment{Bridge: "br0"}, Registry: three, Guard: GuardFull},
			"lab: vpc on bridge br0, 3 bindings, guard full",
		},
		{
			Network{Mode: VPC, Attach: Attachment{Bridge: "br0", Uplinks: eth[:1]}, Registry: one, Guard: GuardNone},
			"lab: vpc on bridge br0 (uplink eth1), 1 binding, guard none",
		},
		{
			Network{Mode: Classic, Attach: Attachment{Bridge: "br0", Uplinks: eth}, Registry: one, Guard: GuardFull},
			"lab: classic on bridge br0 (uplinks eth1, eth2), 1 binding",
		},
		{
			Network{Mode: VPC, Attach: Attachment{Kind: AttachTAP, Device: "arp0", Bridge: "br0"}, Registry: one, Guard: GuardFull},
			"lab: vpc on tap arp0 in bridge br0, 1 binding, guard full",
		},
		{
			Network{Mode: VPC, Attach: Attachment{Bridge: "br0", VLAN: 10, Uplinks: eth[:1]}, Registry: one, Guard: GuardARP},
			"lab: vpc on bridge br0 vlan 10 (uplink eth1), 1 binding, guard arp",
		},
		{
			Network{Mode: VPC, Attach: Attachment{Kind: AttachSidecar, Device: "eth0"}, Registry: one, Guard: GuardFull},
			"lab: vpc on sidecar eth0, 1 binding, guard full",
		},
		{
			Network{Mode: VPC, Attach: Attachment{Kind: AttachTAP, Device: "arp0"}, Registry: one, Guard: GuardNone},
			"lab: vpc on tap arp0, 1 binding",
		},
		{
			Network{Mode: VPC, Attach: Attachment{Kind: AttachInterface, Device: "eth0"}, Registry: one, Guard: GuardNone},
			"lab: vpc on interface eth0, 1 binding",
		},
	}
	for _, test := range tests {
		test.network.Name = "lab"
		if got := test.network.Summary(); got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
}

func TestGuardInForce(t *testing.T) {
	for mode, want := range map[Mode]Guard{VPC: GuardARP, Classic: GuardNone} {
		n := Network{Mode: mode, Attach: Attachment{Bridge: "br0"}, Guard: GuardARP}
		if got := n.GuardInForce(); got != want {
			t.Errorf("in mode %s it is %s; want %s", mode, got, want)
		}
	}
}

func registryOf(t *testing.T, addresses ...string) *registry.Registry {
	t.Helper()
	var bindings []registry.Binding
	for _, text := range addresses {
		addr := netip.MustParseAddr(text)
		bindings = append(bindings, registry.Binding{First: addr, Last: addr, MAC: registry.MAC{2, 5: 1}})
	}
	registry, err := registry.New(slices.Values(bindings))
	if err != nil {
		t.Fatal(err)
	}
	return registry
}
