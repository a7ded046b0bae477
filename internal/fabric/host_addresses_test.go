package fabric_test

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/vishvananda/netlink"
)

// TestHostAddresses checks that the fabric knows the host's addresses on the bridge, also those that were just added,
// and its MAC, also one that was just set.
func TestHostAddresses(t *testing.T) {
	build(t, onBridge)
	f := start(t, withHost(t, network("{bridge: br0}")))
	second := netip.MustParsePrefix("10.239.0.253/24")
	labtest.Must(t, labtest.AddAddress(bridgeName, second))
	bridge, err := netlink.LinkByName(bridgeName)
	labtest.Must(t, err)
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 0xaa}
	labtest.Must(t, netlink.LinkSetHardwareAddr(bridge, mac))
	got, err := f.HostAddresses("lab")
	labtest.Must(t, err)
	if got.Interface != bridgeName || net.HardwareAddr(got.MAC[:]).String() != mac.String() ||
		!slices.Equal(got.Addresses, []netip.Addr{hostAddr.Addr(), second.Addr()}) {
		t.Errorf("the host has %v", got)
	}
	if got, err := f.HostAddresses("other"); err != nil || got.Addresses != nil {
		t.Errorf("in no network the host has %v, %v", got, err)
	}
}
