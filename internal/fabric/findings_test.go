package fabric_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/vishvananda/netlink"
)

// TestFindings removes a NIC that is configured as an uplink from the bridge, and adds it again. It binds the host's
// address to another MAC, to none, and to its own.
func TestFindings(t *testing.T) {
	s := build(t, onBridge)
	plugIn(t)
	bridge, err := netlink.LinkByName(bridgeName)
	labtest.Must(t, err)
	hostMAC, host := net.HardwareAddr{0x02, 0xb0, 0, 0, 0, 1}, hostAddr.Addr()
	labtest.Must(t, netlink.LinkSetHardwareAddr(bridge, hostMAC)) // otherwise it is the lowest MAC of the members
	missing := "the uplink eth1-far is not a member of br0; 'bridge link' lists the members, " +
		"and a member that is not listed under uplinks is a guest port"
	unbound := fmt.Sprintf("the host's address %s on br0 has no binding, so guests cannot find it; add `%s: %q`", host, host, hostMAC)

	log := &journal{}
	f := startLogging(t, loadConfig(t, network("{bridge: br0, uplinks: [eth1-far]}", "gateway: 10.239.0.1")), slog.NewJSONHandler(log, nil))
	expectFindings(t, f, unbound)
	labtest.Must(t, labtest.ClearMaster("eth1-far"))
	expectFindings(t, f, missing, unbound)
	labtest.Must(t, lab.SetMaster("eth1-far", bridgeName))
	expectFindings(t, f, unbound)
	if lines := log.with(t, "msg", unbound); len(lines) != 1 {
		t.Errorf("a finding that did not change is logged %d times", len(lines))
	}

	labtest.Must(t, edit(f.Fabric, nil, ownedBy(host, appMAC)))
	expectFindings(t, f, fmt.Sprintf("the host's address %s is bound to %s (), but br0 has the MAC %s; correct one of them",
		host, appMAC, hostMAC))
	s.app.ask(t)
}

// TestSecondHostAddress gives the host two addresses on the bridge, one of them without a binding.
func TestSecondHostAddress(t *testing.T) {
	build(t, onBridge)
	second := netip.MustParsePrefix("10.239.0.253/24")
	labtest.Must(t, labtest.AddAddress(bridgeName, second))
	bridge, err := net.InterfaceByName(bridgeName)
	labtest.Must(t, err)
	f := start(t, withHost(t, network("{bridge: br0}")))
	expectFindings(t, f, fmt.Sprintf("the host's address 10.239.0.253 on br0 has no binding, so guests cannot find it; add `10.239.0.253: %q`",
		bridge.HardwareAddr))
}

// TestNoGateway has networks in which guests may reach by a router what is behind the uplinks, and some in which the guard
// drops that.
func TestNoGateway(t *testing.T) {
	const attach = "{bridge: br0, uplinks: [vnet9]}"
	const noGateway = "guests reach only registered addresses behind the uplinks, because the network has no gateway; if they have " +
		"one there, write its address as `gateway`, or `routes` in its binding"
	tests := []struct {
		name, configuration string
		forwards            bool // the host forwards
		want                []string
	}{
		{"no router", network(attach), false, []string{noGateway}},
		{"a gateway", network(attach, "gateway: 10.239.0.1"), false, nil},
		{"a router", network(attach) + "      10.239.0.109: {mac: \"02:00:0e:de:54:a8\", routes: [0.0.0.0/0]}\n", false, nil},
		{"the host forwards", network(attach), true, nil},
		{"unknown addresses are behind the uplinks", network(attach, "policy: {unknown_target: uplink}"), false, nil},
		{"only ARP is guarded", network(attach, "policy: {guard: arp}"), false, nil},
		{"no uplink", network("{bridge: br0}"), false, nil},
		{"classic", network(attach, "mode: classic"), false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			build(t, onBridge)
			addGuest(t, 9, "outside")
			forwarding := "0"
			if tt.forwards {
				forwarding = "1"
			}
			labtest.Must(t, setARP(bridgeName, "forwarding", forwarding))
			expectFindings(t, start(t, withHost(t, tt.configuration)), tt.want...)
		})
	}
}

// TestHostIsNoGatewayWithoutABinding has a host that forwards, but whose address guests cannot find.
func TestHostIsNoGatewayWithoutABinding(t *testing.T) {
	build(t, onBridge)
	addGuest(t, 9, "outside")
	labtest.Must(t, setARP(bridgeName, "forwarding", "1"))
	f := start(t, network("{bridge: br0, uplinks: [vnet9]}"))
	expectFinding(t, f, "because the network has no gateway")
}

func expectFindings(t *testing.T, f *running, want ...string) {
	t.Helper()
	labtest.Eventually(t, fmt.Sprintf("the findings are %q", want), func() bool { return slices.Equal(f.Findings()["lab"], want) })
}
