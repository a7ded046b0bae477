package fabric_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
)

// TestFromHost has programs on the host send IPv4 to the guests by the bridge, and by a macvlan on top of it. With the
// host's own MAC it may come from any address, and go to all. With another MAC it arrives only from an address that is
// bound to that MAC, and only at the guest that it is for.
func TestFromHost(t *testing.T) {
	each(t, guarded, func(t *testing.T, built *stage) {
		s := buildAllowList(t, built)
		addMacvlan(t, netlink.MACVLAN_MODE_BRIDGE)
		setUp(t, macvlanName)
		macvlan, err := lab.StartCapture(macvlanName)
		labtest.Must(t, err)
		t.Cleanup(func() { macvlan.Close() })
		configuration := withMacvlan(s.configuration(t, "gateway: 10.239.0.1"))
		if s.outside != nil {
			bound := fmt.Sprintf("{mac: %q, port: %s}", s.idle.MAC, s.idle.Port)
			configuration = strings.Replace(configuration, fmt.Sprintf("%q", s.idle.MAC), bound, 1)
		}
		start(t, configuration)
		decider := responderOf(t, configuration)
		s.introduce(t, 1_000_000)
		for i, sending := range s.byHost() {
			labtest.Must(t, macvlan.Send(sending.frame))
			labtest.Must(t, s.host.Send(sending.frame))
			for _, g := range []*guest{s.app, s.db, s.idle} {
				sendMark(t, s.host, g, i)
				heard, want := g.hasReceived(sending.frame), slices.Contains(sending.heard, g)
				isFlooded := sending.passes && sending.frame[0]&1 == 0 && !want // until the fabric knows where db is
				if heard != want && !isFlooded {
					t.Errorf("%s: %s has received it: %t; want %t", sending.name, g.Name, heard, want)
				}
			}
			in := responder.Ingress{Port: bridgeName, Kind: responder.Host, AllowList: true, HostMAC: registry.MAC(s.host.MAC)}
			if v := decider.Decide(in, sending.frame, nil); v.Reason != sending.reason || (v.Action == responder.Pass) != sending.passes {
				t.Errorf("%s: Decide says %s, %s; want %s", sending.name, v.Action, v.Reason, sending.reason)
			}
		}
	})
}

// byHost returns frames that programs on the host send.
func (s *allowListStage) byHost() []sending {
	host := packet{to: s.db.MAC, from: s.host.MAC, src: netip.MustParseAddr("192.0.2.1"), dst: dbAddr}
	own, gateway := host, host
	own.from, own.src = net.HardwareAddr(macvlanMAC[:]), macvlanAddr.Addr()
	gateway.from = net.HardwareAddr(gatewayMAC[:])
	everybody := netip.MustParseAddr("255.255.255.255")
	toAll := func(p *packet) { p.to, p.dst = ethernet.Broadcast, everybody }
	answer := func(p *packet) {
		p.to, p.dst, p.udp, p.srcPort, p.dstPort = ethernet.Broadcast, everybody, true, 67, 68
	}
	all := []*guest{s.app, s.db, s.idle}
	passes := func(name string, frame []byte, heard ...*guest) sending {
		return sending{name: name, frame: frame, reason: responder.NotARP, passes: true, heard: heard}
	}
	list := []sending{
		passes("the host's, from any address", host.frame(), s.db),
		passes("the host's, to all", host.with(toAll), all...),
		passes("the host's DHCP server, to all", host.with(answer), all...),
		refused("the host's, to another's address", responder.ForeignDestination, host.with(func(p *packet) { p.dst = appAddr })),
		refused("the host's, to a group in a frame to db", responder.ForeignDestination,
			host.with(func(p *packet) { p.dst = netip.MustParseAddr("224.0.0.251") })),
		{name: "DHCP request", frame: s.discover().with(func(p *packet) { p.from = s.host.MAC }), reason: responder.DHCPClient, passes: true},
		passes("the macvlan's, from its own address", own.frame(), s.db),
		refused("the macvlan's, to all", responder.SpoofedSource, own.with(toAll)),
		refused("the macvlan's, as a DHCP server", responder.SpoofedSource, own.with(answer)),
		refused("the macvlan's, from another's address", responder.SpoofedSource, own.with(func(p *packet) { p.src = appAddr })),
		refused("the macvlan's, from nobody's address", responder.SpoofedSource, own.with(func(p *packet) { p.src = freeAddr })),
		passes("the gateway's, from any address", gateway.frame(), s.db),
		refused("the gateway's, to all", responder.SpoofedSource, gateway.with(toAll)),
		refused("a stranger's", responder.SpoofedSource, host.with(func(p *packet) { p.from = stranger })),
		refused("a stranger's, to all", responder.SpoofedSource, own.with(func(p *packet) { toAll(p); p.from = stranger })),
	}
	if s.outside != nil {
		list = append(list, refused("from a MAC that is bound to a port", responder.SpoofedSource,
			host.with(func(p *packet) { p.from, p.src = s.idle.MAC, s.idle.Addr.Addr() })))
	}
	return list
}

// TestFromHostBehindTags has a macvlan on the host's bridge send IPv4 behind VLAN tags, which a guest removes if the VLAN
// is 0, and bytes that only the EtherType calls IPv4.
func TestFromHostBehindTags(t *testing.T) {
	each(t, guarded, func(t *testing.T, built *stage) {
		s := buildAllowList(t, built)
		start(t, withMacvlan(s.configuration(t)))
		own := packet{to: s.db.MAC, from: net.HardwareAddr(macvlanMAC[:]), src: macvlanAddr.Addr(), dst: dbAddr}
		toAll := own.with(func(p *packet) { p.to = ethernet.Broadcast })
		for i, frame := range [][]byte{
			tagged(own.frame(), qTag), tagged(toAll, qTag), tagged(toAll, adTag), tagged(toAll, qTag, qTag), patched(own.frame(), 14, 0x60),
		} {
			labtest.Must(t, s.host.Send(frame))
			for _, g := range []*guest{s.app, s.db, s.idle} {
				sendMark(t, s.host, g, i)
				if g.hasReceived(frame) {
					t.Errorf("%s has received %x", g.Name, frame)
				}
			}
		}
	})
}
