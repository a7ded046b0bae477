package responder_test

import (
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
)

// TestDescribe expects the output of tcpdump 4.99 -n, with three exceptions: tcpdump also prints an unknown operation in
// hexadecimal, prints tags only with -e, and says more about frames that are not ARP.
func TestDescribe(t *testing.T) {
	operation := func(n uint16) arpFrame {
		return ask.with(func(f *arpFrame) { f.operation, f.targetMAC = n, otherMAC })
	}
	answer := operation(2).with(func(f *arpFrame) { f.trailer = make([]byte, 18) })
	packet := func(change func(*ipFrame)) []byte { return datagram.with(change).bytes() }
	header := slices.Clip(ask.bytes()[:12])
	tests := []struct {
		name  string
		frame []byte
		want  string
	}{
		{"request", ask.bytes(), "ARP, Request who-has 10.239.0.102 tell 10.239.0.101, length 28"},
		{
			"request, padded", ask.with(func(f *arpFrame) { f.trailer = make([]byte, 18) }).bytes(),
			"ARP, Request who-has 10.239.0.102 tell 10.239.0.101, length 46",
		},
		{
			"request, target MAC known", operation(1).bytes(),
			"ARP, Request who-has 10.239.0.102 (02:00:07:de:54:a8) tell 10.239.0.101, length 28",
		},
		{
			"request, target MAC broadcast", ask.with(func(f *arpFrame) { f.targetMAC = broadcast }).bytes(),
			"ARP, Request who-has 10.239.0.102 (ff:ff:ff:ff:ff:ff) tell 10.239.0.101, length 28",
		},
		{
			"probe", request(guestMAC, noIP, guestIP).bytes(),
			"ARP, Request who-has 10.239.0.101 tell 0.0.0.0, length 28",
		},
		{
			"announcement", request(guestMAC, guestIP, guestIP).bytes(),
			"ARP, Request who-has 10.239.0.101 tell 10.239.0.101, length 28",
		},
		{"reply", answer.bytes(), "ARP, Reply 10.239.0.101 is-at 02:00:06:de:54:a8, length 46"},
		{
			"reverse request", operation(3).bytes(),
			"ARP, Reverse Request who-is 02:00:07:de:54:a8 tell 02:00:06:de:54:a8, length 28",
		},
		{"reverse reply", operation(4).bytes(), "ARP, Reverse Reply 02:00:07:de:54:a8 at 10.239.0.102, length 28"},
		{
			"inverse request", operation(8).bytes(),
			"ARP, Inverse Request who-is 02:00:07:de:54:a8 tell 02:00:06:de:54:a8, length 28",
		},
		{"inverse reply", operation(9).bytes(), "ARP, Inverse Reply 02:00:06:de:54:a8 at 10.239.0.101, length 28"},
		{"operation 0", operation(0).bytes(), "ARP, Unknown (0), length 28"},
		{"operation 65535", operation(65535).bytes(), "ARP, Unknown (65535), length 28"},
		{
			"tag", ask.tagged(0x8100_7005).bytes(),
			"vlan 5, ARP, Request who-has 10.239.0.102 tell 10.239.0.101, length 28",
		},
		{
			"three tags", ask.tagged(0x88a8_0007, 0x8100_0fff, 0x8100_0000).bytes(),
			"vlan 7, vlan 4095, vlan 0, ARP, Request who-has 10.239.0.102 tell 10.239.0.101, length 28",
		},
		{"UDP", datagram.bytes(), "IP 10.239.0.101.1234 > 10.239.0.102.53: UDP, length 3"},
		{
			"TCP", append(packet(func(f *ipFrame) { f.protocol = 6 })[:46], 0x50, 2),
			"IP 10.239.0.101.1234 > 10.239.0.102.53: TCP, length 0",
		},
		{
			"ports cut", packet(func(*ipFrame) {})[:37],
			"IP 10.239.0.101 > 10.239.0.102: UDP, length 3",
		},
		{
			"later fragment", packet(func(f *ipFrame) { f.fragment = 1 }),
			"IP 10.239.0.101 > 10.239.0.102: UDP, length 11",
		},
		{
			"ICMP", packet(func(f *ipFrame) { f.protocol = 1 }),
			"IP 10.239.0.101 > 10.239.0.102: ICMP, length 11",
		},
		{
			"OSPF behind a tag", packet(func(f *ipFrame) { f.protocol, f.tags = 89, []uint32{0x8100_0005} }),
			"vlan 5, IP 10.239.0.101 > 10.239.0.102: protocol 89, length 11",
		},
		{"malformed IP", ask.with(func(f *arpFrame) { f.etherType = 0x0800 }).bytes(), "malformed IP, length 28"},
		{
			"IPv6", append(header, unhex(t, `86dd 60000000 0010 3aff fe800000000000000000000000000001
				ff020000000000000000000000000002 8500 0000`)...),
			"IP6 fe80::1 > ff02::2, length 16",
		},
		{"malformed IPv6", append(header, 0x86, 0xdd, 0x60), "malformed IP6, length 1"},
		{"LLDP", append(header, 0x88, 0xcc, 0, 0), "ethertype 0x88cc, length 2"},
		{"spanning tree", append(header, 0, 38, 0x42, 0x42, 3), "LLC, length 3"},
		{"hardware type 6", ask.with(func(f *arpFrame) { f.hardware = 6 }).bytes(), "malformed ARP, length 28"},
		{"cut in the packet", ask.bytes()[:30], "malformed ARP, length 16"},
		{"cut in the header", ask.bytes()[:13], "malformed ARP, length 0"},
		{"nothing", nil, "malformed ARP, length 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := responder.Describe(tt.frame); got != tt.want {
				t.Errorf("%q\nwant %q", got, tt.want)
			}
		})
	}
}
