package fabric_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
)

// routerMAC is the MAC of a router behind app's port.
var routerMAC = net.HardwareAddr{0x02, 0x00, 0x0b, 0xde, 0x54, 0xa8}

// TestRouter checks that db receives what the router forwards, as long as the router has the route and sends by its own
// port, and that the router receives what is for its routes. The routes include idle's address, which has a binding.
func TestRouter(t *testing.T) {
	s := buildAllowList(t, build(t, onBridge))
	const routes = ", routes: [203.0.113.0/24, 10.239.0.103/32]"
	var f *running
	for i, step := range []struct {
		name, keys  string // further keys of the router's binding
		own, routed bool   // the router may send from its own address, and from a route
	}{
		{"no routes", "", true, false},
		{"routes, by another port", routes + ", port: " + s.idle.Port, false, false},
		{"routes", routes, true, true},
		{"routes, by its own port", routes + ", port: " + s.app.Port, true, true},
		{"no routes any more", "", true, false},
	} {
		configuration := withHost(t, network(s.attach)+fmt.Sprintf("      10.239.0.120: {mac: %q%s}\n", routerMAC, step.keys))
		if f == nil {
			f = start(t, configuration)
			s.introduce(t, 1_000_000)
		} else {
			labtest.Must(t, f.Reload(t.Context(), loadConfig(t, configuration)))
		}
		decider := responderOf(t, configuration)
		for j, frame := range s.forwarded(uint16(i), step.own, step.routed) {
			frame.name = step.name + ": " + frame.name
			s.play(t, decider, frame, 100*i+j)
		}
		byDB, receiver := s.sentBy(s.db), s.app
		if strings.HasSuffix(step.keys, s.idle.Port) {
			receiver = s.idle
		}
		expectLocated(t, routerMAC, receiver.Port) // its frames say so, and the fabric takes a moment
		for j, frame := range s.toRouter(uint16(i), step.keys != "", receiver) {
			frame.name = step.name + ": " + frame.name
			byDB.play(t, decider, frame, 100*i+50+j)
		}
	}
}

// forwarded returns frames that the router sends to db. Those with another number differ.
func (s *allowListStage) forwarded(number uint16, own, routed bool) []sending {
	from := func(name, src string, passes bool, otherwise responder.Reason) sending {
		frame := s.toDB().with(func(p *packet) {
			p.from, p.src, p.udp, p.srcPort, p.dstPort = routerMAC, netip.MustParseAddr(src), true, 1000+number, 9
		})
		if passes {
			return s.passes(name, frame)
		}
		return refused(name, otherwise, frame)
	}
	return []sending{
		from("its own address", "10.239.0.120", own, responder.SpoofedSource),
		from("a route", "203.0.113.7", routed, responder.UnregisteredSource),
		from("the first address of a route", "203.0.113.0", routed, responder.UnregisteredSource),
		from("the last address of a route", "203.0.113.255", routed, responder.UnregisteredSource),
		from("another's address, in a route", "10.239.0.103", routed, responder.SpoofedSource),
		from("the address after a route", "203.0.114.0", false, responder.UnregisteredSource),
		from("another's address, in no route", "10.239.0.104", false, responder.SpoofedSource),
		from("no address", "0.0.0.0", false, responder.UnregisteredSource),
	}
}

// toRouter returns frames that db sends to the router, which is behind the receiver's port. Those with another number differ.
func (s *allowListStage) toRouter(number uint16, routed bool, receiver *guest) []sending {
	to := func(name, dst string, passes bool) sending {
		frame := packet{
			to: routerMAC, from: s.db.MAC, src: dbAddr, dst: netip.MustParseAddr(dst), udp: true, srcPort: 9, dstPort: 1000 + number,
		}.frame()
		if passes {
			return sending{name: name, frame: frame, reason: responder.Admitted, passes: true, heard: []*guest{receiver}}
		}
		return refused(name, responder.ForeignDestination, frame)
	}
	return []sending{
		to("to its own address", "10.239.0.120", true),
		to("to a route", "203.0.113.7", routed),
		to("to another's address, in a route", "10.239.0.103", routed),
		to("to the address after a route", "203.0.114.0", false),
		to("to a group", "224.0.0.251", false),
	}
}
