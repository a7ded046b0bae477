package fabric_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// foreign are destinations that no guest has, of which a kernel hands most to its programs also in a unicast frame.
var foreign = []string{
	"224.0.0.1", "224.0.0.251", "239.255.255.250", "255.255.255.255", "10.239.0.255", "127.0.0.1", "10.239.0.200", "10.239.0.103", "192.0.2.1",
}

// TestForeignDestination sends IPv4 in frames to db's own MAC, and to the host's and the gateway's. db receives only
// what is for its own addresses. The host, and the gateway behind an uplink, receive what they may forward.
func TestForeignDestination(t *testing.T) {
	each(t, guarded, func(t *testing.T, built *stage) {
		s := buildAllowList(t, built)
		configuration := s.withGateway(t)
		start(t, configuration)
		decider := responderOf(t, configuration)
		s.introduce(t, 1_000_000)
		for i, sending := range s.inside() {
			s.play(t, decider, sending, i)
		}
	})
}

// withGateway returns a configuration with a gateway, which is outside if there is such a guest, and with more addresses of db.
func (s *allowListStage) withGateway(t *testing.T) string {
	t.Helper()
	configuration := strings.Replace(s.configuration(t, "gateway: 10.239.0.1"), "registry:\n",
		fmt.Sprintf("registry:\n      10.239.0.105-10.239.0.107: %q\n      10.239.0.108: {mac: %q, port: %s}\n",
			s.db.MAC, s.db.MAC, s.db.Port), 1)
	if s.outside == nil {
		return strings.ReplaceAll(configuration, ", port: "+s.db.Port, "")
	}
	configuration = strings.ReplaceAll(configuration, gatewayMAC.String(), s.outside.MAC.String())
	return strings.Replace(configuration, "10.239.0.104", "10.239.0.109", 1)
}

// inside returns frames to the MACs of db, the host and the gateway.
func (s *allowListStage) inside() []sending {
	own := s.toDB()
	var list []sending
	add := func(g *guest, reason responder.Reason, addrs ...string) {
		for _, addr := range addrs {
			frame := own.with(func(p *packet) { p.to, p.dst = g.MAC, netip.MustParseAddr(addr) })
			heard := []*guest{g}
			if reason != responder.Admitted {
				heard = nil
			}
			list = append(list, sending{name: addr + " to " + g.Name, frame: frame, reason: reason, passes: heard != nil, heard: heard})
		}
	}
	add(s.db, responder.ForeignDestination, foreign...)
	add(s.db, responder.Admitted, "10.239.0.102", "10.239.0.105", "10.239.0.107", "10.239.0.108")
	add(s.host, responder.ForeignDestination, "224.0.0.251", "255.255.255.255", "127.0.0.1")
	add(s.host, responder.Admitted, "10.239.0.254", "192.0.2.1", "10.239.0.200")
	if s.outside != nil {
		add(s.outside, responder.ForeignDestination, "224.0.0.251", "255.255.255.255", "127.0.0.1")
		add(s.outside, responder.Admitted, "10.239.0.1", "192.0.2.1", "10.239.0.200")
	}
	return list
}

// TestForeignDestinationFromAnUplink has somebody behind an uplink send to app's MAC. app receives what is for its own
// addresses, and what a DHCP server sends to it; no guest receives RARP and DHCP requests, as those of the guests of
// another host.
func TestForeignDestinationFromAnUplink(t *testing.T) {
	s := buildAllowList(t, build(t, onBridge))
	configuration := s.configuration(t)
	start(t, configuration)
	decider := responderOf(t, configuration)
	s.introduce(t, 1_000_000)
	guests := []*guest{s.app, s.db, s.idle}
	for i, sending := range s.fromOutside() {
		labtest.Must(t, s.outside.Send(sending.frame))
		for _, g := range guests {
			sendMark(t, s.outside, g, i)
			if heard, want := g.hasReceived(sending.frame), slices.Contains(sending.heard, g); heard != want {
				t.Errorf("%s: %s has received it: %t; want %t", sending.name, g.Name, heard, want)
			}
		}
		in := responder.Ingress{Port: s.outside.Port, Kind: responder.Uplink, AllowList: true, HostMAC: registry.MAC(s.host.MAC)}
		if v := decider.Decide(in, sending.frame, nil); v.Reason != sending.reason || (v.Action == responder.Pass) != sending.passes {
			t.Errorf("%s: Decide says %s, %s; want %s", sending.name, v.Action, v.Reason, sending.reason)
		}
	}
}

// fromOutside returns frames of a stranger behind the uplink.
func (s *allowListStage) fromOutside() []sending {
	toApp := packet{to: s.app.MAC, from: stranger, src: netip.MustParseAddr("192.0.2.1"), dst: appAddr}
	answer := packet{
		to: s.app.MAC, from: stranger, src: netip.MustParseAddr("10.239.0.253"), dst: freeAddr, udp: true, srcPort: 67, dstPort: 68,
	}
	discover := s.discover()
	discover.from = stranger
	all := []*guest{s.app, s.db, s.idle}
	passes := func(name string, frame []byte, heard ...*guest) sending {
		return sending{name: name, frame: frame, reason: responder.NotARP, passes: true, heard: heard}
	}
	toAll := func(p *packet) {
		p.to, p.dst = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, netip.MustParseAddr("255.255.255.255")
	}
	list := []sending{
		passes("to app", toApp.frame(), s.app),
		passes("to app's range", toApp.with(func(p *packet) { p.dst = netip.MustParseAddr("10.239.0.113") }), s.app),
		passes("to app's port", toApp.with(func(p *packet) { p.dst = netip.MustParseAddr("10.239.0.110") }), s.app),
		passes("to app's range at its port", toApp.with(func(p *packet) { p.dst = netip.MustParseAddr("192.168.7.3") }), s.app),
		passes("to all", toApp.with(toAll), all...),
		passes("a DHCP server's answer to app", answer.frame(), s.app),
		passes("a DHCP server's answer to all", answer.with(toAll), all...),
		{name: "DHCP request", frame: discover.frame(), reason: responder.DHCPClient, passes: true},
		refused("DHCP request to all, in a frame to app", responder.ForeignDestination, discover.with(func(p *packet) { p.to = s.app.MAC })),
		passes("DHCP request to app", discover.with(func(p *packet) { p.to, p.dst = s.app.MAC, appAddr }), s.app),
		{name: "RARP", frame: other(toGroup, stranger, rarp, 0, 1), reason: responder.RARPAnnouncement, passes: true},
	}
	for _, addr := range append(foreign, dbAddr.String()) {
		list = append(list, refused(addr+" to app", responder.ForeignDestination,
			toApp.with(func(p *packet) { p.dst = netip.MustParseAddr(addr) })))
	}
	return list
}
