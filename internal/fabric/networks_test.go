package fabric_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// secondNetwork returns the configuration of a second network, to append to network's. Its gateway has the same address
// as that of the first network, and another MAC.
func secondNetwork(attach string) string {
	return "  second:\n    attach: " + attach + `
    registry:
      10.239.0.1:   "02:00:00:de:55:a8"
      10.239.0.104: "02:00:09:de:54:a8"
      10.239.0.105: "02:00:0a:de:54:a8"
      10.239.0.128-10.239.0.191: "02:00:0b:de:54:a8"
`
}

var secondGatewayMAC = registry.MAC{0x02, 0x00, 0x00, 0xde, 0x55, 0xa8}

func TestTwoNetworks(t *testing.T) {
	tests := []struct {
		attach string
		needs  func(*testing.T)
	}{
		{"{bridge: br1}", func(*testing.T) {}},
		{"{tap: {name: arp1, bridge: br1}}", func(t *testing.T) { labtest.NeedTUN(t) }},
	}
	for _, tt := range tests {
		t.Run(tt.attach, func(t *testing.T) {
			tt.needs(t)
			s := build(t, onBridge)
			addBridge(t, "br1")
			other, listener := addGuestIn(t, "br1", 4, "other"), addGuestIn(t, "br1", 5, "listener")
			start(t, network(s.attach)+secondNetwork(tt.attach))

			s.app.send(t, s.app.request(gatewayAddr).Frame())
			s.app.expectAnswer(t, 1, gatewayAddr, gatewayMAC)
			other.send(t, other.request(gatewayAddr).Frame())
			other.expectAnswer(t, 1, gatewayAddr, secondGatewayMAC)

			// Each has a registry of its own: there is no db on the second.
			other.send(t, other.request(dbAddr).Frame())
			other.send(t, other.request(gatewayAddr).Frame())
			other.expectAnswer(t, 2, gatewayAddr, secondGatewayMAC)

			s.expectSilence(t, s.db, s.idle)
			sendMark(t, other, listener, 1)
			if heard := listener.receivedARP(); len(heard) > 0 {
				t.Errorf("listener heard %x", heard)
			}
		})
	}
}

// TestUplinks checks that requests for hosts behind an uplink, and requests from there, are answered from the registry,
// that no guest receives the latter, and that no ARP of guests leaves by the uplink except right announcements.
func TestUplinks(t *testing.T) {
	s := build(t, onBridge)
	outside := addGuestIn(t, bridgeName, 4, "outside")
	stranger := outside.request(dbAddr)
	stranger.SenderIP = netip.MustParseAddr("10.239.0.250")
	fabric := start(t, network("{bridge: br0, uplinks: [vnet4]}"))

	for i, h := range hostileFrames(s) {
		s.app.send(t, h.frame)
		sendMark(t, s.app, outside, i)
		for _, heard := range outside.receivedARP() {
			if announcement := vary(s.app.request(appAddr)); !bytes.HasPrefix(heard, announcement) {
				t.Fatalf("%s: it left by the uplink: %x", h.name, heard)
			}
		}
	}
	outside.send(t, stranger.Frame())
	outside.expectAnswer(t, 1, dbAddr, dbMAC)
	outside.send(t, vary(stranger, target(freeAddr)))
	outside.send(t, vary(stranger, isReply))
	fabric.expectCounts(t, "vnet4", counts{responder.Answered: 1, responder.UnknownTarget: 1, responder.GuestReply: 1}, "what came by the uplink")
	for i, g := range []*guest{s.db, s.idle} {
		sendMark(t, outside, g, 1000+i)
		if heard := g.receivedARP(); len(heard) > 0 {
			t.Errorf("%s received ARP from the uplink: %x", g.Name, heard)
		}
	}
	labtest.Must(t, labtest.ClearMaster("vnet4"))
	labtest.Eventually(t, "it is no uplink outside the bridge", func() bool { return fabric.counts("vnet4") == nil })
}

// TestInterfaceLeavesItsOwnAddressesToTheKernel checks that the fabric does not answer for an address that the
// interface gets while the fabric runs.
func TestInterfaceLeavesItsOwnAddressesToTheKernel(t *testing.T) {
	s := build(t, onInterface)
	fabric := start(t, network(s.attach))
	own := netip.MustParseAddr("10.239.0.191")
	labtest.Must(t, labtest.AddAddress("eth1", netip.PrefixFrom(own, 32)))
	repeat(t, "the address is the host's",
		func() { s.app.Send(s.app.request(own).Frame()) },
		func() bool { return fabric.counts("eth1")[responder.HostAddress] > 0 })
	s.app.ask(t) // answers come in order: all earlier ones have arrived when this one has
	before := s.app.answersFor(own)
	s.app.send(t, s.app.request(own).Frame())
	s.app.ask(t)
	if after := s.app.answersFor(own); after > before {
		t.Errorf("the fabric answers for the interface's own address")
	}
}
