package fabric_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/ethernet"
)

// TestMACAlone checks that a guest behind app's port whose MAC is bound alone can send IPv6, RARP and DHCP by its own port,
// and nothing else. Each step has a MAC of its own, so that its frames differ.
func TestMACAlone(t *testing.T) {
	s := buildAllowList(t, build(t, onBridge))
	var f *running
	for i, step := range []struct {
		name, binding string
		passes        bool
	}{
		{"no binding", "", false},
		{"a binding", `"%s": {name: v6only}`, true},
		{"a binding to another port", `"%s": {port: ` + s.idle.Port + `}`, false},
		{"a binding to its port", `"%s": {port: ` + s.app.Port + `}`, true},
		{"no binding again", "", false},
	} {
		alone := net.HardwareAddr{0x02, 0x00, 0x0c, 0xde, 0x54, byte(i)}
		configuration := withHost(t, network(s.attach, "policy: {ipv6: pass}"))
		if step.binding != "" {
			configuration = withHost(t, network(s.attach)+"      "+fmt.Sprintf(step.binding, alone)+"\n    policy: {ipv6: pass}\n")
		}
		if f == nil {
			f = start(t, configuration)
			s.introduce(t, 1_000_000)
		} else {
			labtest.Must(t, f.Reload(t.Context(), loadConfig(t, configuration)))
		}
		decider := responderOf(t, configuration)
		for j, frame := range s.byMACAlone(alone, step.passes) {
			frame.name = step.name + ": " + frame.name
			s.play(t, decider, frame, 100*i+j)
		}
	}
}

// byMACAlone returns frames of a guest without an address.
func (s *allowListStage) byMACAlone(mac net.HardwareAddr, passes bool) []sending {
	alone := func(name string, reason responder.Reason, frame []byte, heard ...*guest) sending {
		if !passes {
			return refused(name, responder.UnregisteredMAC, frame)
		}
		return sending{name: name, frame: frame, reason: reason, passes: true, heard: heard}
	}
	discover := s.discover()
	discover.from = mac
	return []sending{
		alone("IPv6", responder.IPv6, ipv6(s.db.MAC, mac), s.db),
		alone("RARP", responder.RARPAnnouncement, other(ethernet.Broadcast, mac, rarp, 0, 1)),
		alone("DHCP", responder.DHCPClient, discover.frame(), s.host, s.outside),
		refused("IPv4", responder.UnregisteredSource, s.toDB().with(func(p *packet) { p.from, p.src = mac, freeAddr })),
		refused("IPv4 from another's address", responder.SpoofedSource, s.toDB().with(func(p *packet) { p.from = mac })),
	}
}
