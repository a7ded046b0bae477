package responder_test

import (
	"testing"

	"github.com/arpfabric/arpfabric/responder"
)

// TestFromHost tests IPv4 that the host sends to its guests: from its own MAC, and from interfaces on top of the bridge.
func TestFromHost(t *testing.T) {
	hostMAC, macvlanMAC := mac("02:00:00:00:00:fe"), mac("02:00:0b:00:00:01")
	tied := bind("10.239.0.103", tiedMAC.String())
	tied.Port = "vnet3"
	n := newNetwork(t, responder.Policy{Gateway: gatewayIP},
		bind("10.239.0.1", gatewayMAC.String()), bind("10.239.0.50", macvlanMAC.String()), bind("10.239.0.102", otherMAC.String()), tied,
	)
	byHost := datagram.with(func(f *ipFrame) { f.src, f.srcIP = hostMAC, strangerIP })
	byMacvlan := datagram.with(func(f *ipFrame) { f.src, f.srcIP = macvlanMAC, ip("10.239.0.50") })
	byGateway := datagram.with(func(f *ipFrame) { f.src, f.srcIP = gatewayMAC, ip("192.0.2.1") })
	toAll := func(f *ipFrame) { f.dst, f.dstIP = broadcast, ip("255.255.255.255") }
	passes := responder.Verdict{Action: pass, Reason: responder.NotARP}
	spoofed := responder.Verdict{Action: drop, Reason: responder.SpoofedSource}
	for _, tt := range []struct {
		name  string
		frame ipFrame
		want  responder.Verdict
	}{
		{"by the host", byHost, passes},
		{"by the host, to all", byHost.with(toAll), passes},
		{"by the host, to an address that the guest does not have", byHost.with(func(f *ipFrame) { f.dstIP = strangerIP }),
			responder.Verdict{Action: drop, Reason: responder.ForeignDestination}},
		{"by a macvlan", byMacvlan, passes},
		{"by a macvlan, to all", byMacvlan.with(toAll), spoofed},
		{"by a macvlan, from another's address", byMacvlan.with(func(f *ipFrame) { f.srcIP = otherIP }), spoofed},
		{"by a macvlan, from nobody's address", byMacvlan.with(func(f *ipFrame) { f.srcIP = ip("10.239.0.51") }), spoofed},
		{"by a stranger's MAC", byHost.with(func(f *ipFrame) { f.src = strangerMAC }), spoofed},
		{"by the gateway, from anywhere", byGateway, passes},
		{"by the gateway, to all", byGateway.with(toAll), spoofed},
		{"by a MAC that is bound to a port", datagram.with(func(f *ipFrame) { f.src, f.srcIP = tiedMAC, ip("10.239.0.103") }), spoofed},
		{"RARP", byHost.with(func(f *ipFrame) { f.etherType = 0x8035 }), passes},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := responder.Ingress{Port: "br0", Kind: responder.Host, HostMAC: hostMAC}
			if v := admit(t, n, in, tt.frame.bytes()); v != tt.want {
				t.Errorf("verdict is %+v; want %+v", v, tt.want)
			}
		})
	}
}

// TestOutside tests frames that come in by an uplink: their senders are not checked, but guests receive only what is for
// their own addresses.
func TestOutside(t *testing.T) {
	hostMAC := mac("02:00:00:00:00:fe")
	fromOutside := datagram.with(func(f *ipFrame) { f.src, f.srcIP = strangerMAC, ip("192.0.2.1") })
	answer := fromOutside.with(func(f *ipFrame) { f.srcPort, f.dstPort, f.dstIP = 67, 68, strangerIP })
	tests := []struct {
		name  string
		frame ipFrame
		want  responder.Verdict
	}{
		{"to a guest", fromOutside, responder.Verdict{Action: pass, Reason: responder.NotARP}},
		{"in a guest's name", datagram, responder.Verdict{Action: pass, Reason: responder.NotARP}},
		{"to an address that the guest does not have", fromOutside.with(func(f *ipFrame) { f.dstIP = strangerIP }),
			responder.Verdict{Action: drop, Reason: responder.ForeignDestination}},
		{"to a group, in a frame to the guest", fromOutside.with(func(f *ipFrame) { f.dstIP = ip("224.0.0.251") }),
			responder.Verdict{Action: drop, Reason: responder.ForeignDestination}},
		{"to a group", fromOutside.with(func(f *ipFrame) { f.dst, f.dstIP = mac("01:00:5e:00:00:fb"), ip("224.0.0.251") }),
			responder.Verdict{Action: pass, Reason: responder.NotARP}},
		{"to a stranger", fromOutside.with(func(f *ipFrame) { f.dst = strangerMAC }), responder.Verdict{Action: pass, Reason: responder.NotARP}},
		{"to the host", fromOutside.with(func(f *ipFrame) { f.dst, f.dstIP = hostMAC, strangerIP }),
			responder.Verdict{Action: pass, Reason: responder.NotARP}},
		{"a DHCP request", discover, responder.Verdict{Action: pass, Reason: responder.DHCPClient}},
		{"a DHCP request to a guest", discover.with(func(f *ipFrame) { f.dst, f.dstIP = otherMAC, otherIP }), responder.Verdict{Action: pass, Reason: responder.NotARP}},
		{"a DHCP answer to an address that is not bound yet", answer, responder.Verdict{Action: pass, Reason: responder.NotARP}},
		{"a DHCP answer to all", answer.with(func(f *ipFrame) { f.dst, f.dstIP = broadcast, ip("255.255.255.255") }),
			responder.Verdict{Action: pass, Reason: responder.NotARP}},
		{"no IPv4 packet", fromOutside.with(func(f *ipFrame) { f.version = 6 }), responder.Verdict{Action: drop, Reason: responder.Malformed}},
		{"RARP", datagram.with(func(f *ipFrame) { f.etherType = 0x8035 }), responder.Verdict{Action: pass, Reason: responder.RARPAnnouncement}},
		{"LLDP", datagram.with(func(f *ipFrame) { f.etherType = 0x88cc }), responder.Verdict{Action: pass, Reason: responder.NotARP}},
		{"in another VLAN", fromOutside.with(func(f *ipFrame) { f.dstIP, f.tags = strangerIP, []uint32{0x8100_0005} }),
			responder.Verdict{Action: pass, Reason: responder.NotARP}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := responder.Ingress{Port: "eth1", Kind: responder.Uplink, HostMAC: hostMAC}
			if v := admit(t, fabric(t, responder.Policy{}), in, tt.frame.bytes()); v != tt.want {
				t.Errorf("verdict is %+v; want %+v", v, tt.want)
			}
		})
	}
}
