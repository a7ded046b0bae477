package fabric_test

import (
	"net"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/vishvananda/netlink"
)

// TestFreeTAP plugs the fabric's TAP into a switch by hand. The switch must not take the fabric for the
// owner of the MACs that it answers with.
func TestFreeTAP(t *testing.T) {
	lab.NeedTUN(t)
	s := build(t, onBridge)
	start(t, network("{tap: {name: arp0}}"))
	must(t, lab.SetMaster("arp0", bridgeName))
	s.db.ask(t)
	s.app.send(t, s.app.request(dbAddr).Frame())
	s.app.expectAnswer(t, 1, dbAddr, dbMAC)
	expectBehind(t, s.db.MAC, s.db.Port)
	s.app.send(t, vary(s.app.request(appAddr), sender(unspecified)))
	s.app.expectAnswer(t, 2, appAddr, appMAC)
	expectBehind(t, s.app.MAC, s.app.Port)
}

// TestTAPLeavesTheBridgeAsItIs holds that the bridge's MTU and MAC, which it takes from its members, are not
// those of the fabric's TAP: guests know the bridge's MAC as their gateway's.
func TestTAPLeavesTheBridgeAsItIs(t *testing.T) {
	lab.NeedTUN(t)
	for range 8 { // a TAP's MAC is random, and the bridge takes the lowest
		addBridge(t, bridgeName)
		t.Cleanup(func() { lab.DeleteLink("member") })
		must(t, netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "member", MTU: 9000, HardwareAddr: net.HardwareAddr{0xfa, 0, 0, 0, 0, 1}},
			PeerName:  "far",
		}))
		must(t, lab.SetMaster("member", bridgeName))
		fabric := start(t, network("{tap: {name: arp0, bridge: br0}}"))
		br, err := netlink.LinkByName(bridgeName)
		must(t, err)
		if a := br.Attrs(); a.MTU != 9000 || a.HardwareAddr.String() != "fa:00:00:00:00:01" {
			t.Fatalf("the bridge has MTU %d and MAC %s", a.MTU, a.HardwareAddr)
		}
		fabric.stop()
		must(t, lab.DeleteLink("member"))
		must(t, lab.DeleteLink(bridgeName))
	}
}
