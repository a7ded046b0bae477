package fabric_test

import (
	"net"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/vishvananda/netlink"
)

// TestTAPInSwitch adds the fabric's TAP to a switch by hand. The switch must not move the FDB entries of the MACs in
// the answers to the TAP.
func TestTAPInSwitch(t *testing.T) {
	labtest.NeedTUN(t)
	s := build(t, onBridge)
	start(t, network("{tap: {name: arp0}}"))
	labtest.Must(t, lab.SetMaster("arp0", bridgeName))
	s.db.ask(t)
	s.app.send(t, s.app.request(dbAddr).Frame())
	s.app.expectAnswer(t, 1, dbAddr, dbMAC)
	expectBehind(t, s.db.MAC, s.db.Port)
	s.app.send(t, vary(s.app.request(appAddr), sender(unspecified)))
	s.app.expectAnswer(t, 2, appAddr, appMAC)
	expectBehind(t, s.app.MAC, s.app.Port)
}

// TestTAPBridgeLearnsFromOwnersOnly checks that ARP which the fabric refuses, or which any MAC may send, teaches the bridge
// of the TAP nothing, and is decided nevertheless.
func TestTAPBridgeLearnsFromOwnersOnly(t *testing.T) {
	labtest.NeedTUN(t)
	s := build(t, onTAP)
	fabric := start(t, network(s.attach))
	s.db.ask(t)
	expectBehind(t, s.db.MAC, s.db.Port)
	stranger := net.HardwareAddr{0x02, 0, 0, 0, 0, 0x99}
	asked := s.app.request(dbAddr)
	for _, sent := range []struct {
		name   string
		frame  []byte
		reason responder.Reason
	}{
		{"db's MAC with app's address", lab.Request(s.db.MAC, appAddr, dbAddr).Frame(), responder.SpoofedSender},
		{"db's MAC with an address that nobody has", lab.Request(s.db.MAC, freeAddr, dbAddr).Frame(), responder.UnregisteredSender},
		{"db's MAC in the Ethernet header only", patch(asked, 6, s.db.MAC...), responder.SenderMACMismatch},
		{"a MAC that nobody has", lab.Request(stranger, appAddr, dbAddr).Frame(), responder.SpoofedSender},
		{"a probe from a MAC that nobody has", lab.Request(stranger, unspecified, dbAddr).Frame(), responder.ConflictProbe},
		{"a probe from db's MAC", lab.Request(s.db.MAC, unspecified, appAddr).Frame(), responder.ConflictProbe},
	} {
		before := fabric.counts(s.port)[sent.reason]
		s.app.send(t, sent.frame)
		labtest.Eventually(t, sent.name+" is counted", func() bool { return fabric.counts(s.port)[sent.reason] > before })
		if s.idle.hasReceived(sent.frame) {
			t.Errorf("%s: another guest received it", sent.name)
		}
	}
	if learned := learnedBehind(t, stranger); len(learned) > 0 {
		t.Errorf("the bridge has learned that a MAC that nobody has is behind %s", learned)
	}
	expectBehind(t, s.db.MAC, s.db.Port)
	labtest.Eventually(t, "app has the answers to its two probes", func() bool { return len(s.app.answers()) == 2 })
	if len(s.db.answers()) != 1 { // to its own request
		t.Error("db has received an answer to a forged probe")
	}
}

// TestTAPKeepsBridgeMACAndMTU checks that a bridge, which takes its MTU and MAC from its members, does not take those
// of the fabric's TAP: the bridge's MAC may be the MAC of the guests' gateway.
func TestTAPKeepsBridgeMACAndMTU(t *testing.T) {
	labtest.NeedTUN(t)
	for range 8 { // a TAP's MAC is random, and the bridge takes the lowest
		addBridge(t, bridgeName)
		t.Cleanup(func() { lab.DeleteLink("member") })
		labtest.Must(t, netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "member", MTU: 9000, HardwareAddr: net.HardwareAddr{0xfa, 0, 0, 0, 0, 1}},
			PeerName:  "far",
		}))
		labtest.Must(t, lab.SetMaster("member", bridgeName))
		fabric := start(t, network("{tap: {name: arp0, bridge: br0}}"))
		br, err := netlink.LinkByName(bridgeName)
		labtest.Must(t, err)
		if a := br.Attrs(); a.MTU != 9000 || a.HardwareAddr.String() != "fa:00:00:00:00:01" {
			t.Fatalf("the bridge has MTU %d and MAC %s", a.MTU, a.HardwareAddr)
		}
		fabric.stop()
		labtest.Must(t, lab.DeleteLink("member"))
		labtest.Must(t, lab.DeleteLink(bridgeName))
	}
}
