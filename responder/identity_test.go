package responder_test

import (
	"net/netip"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
)

func TestSenderIdentityOf(t *testing.T) {
	mismatch := ask.with(func(f *arpFrame) { f.src = strangerMAC })
	complete := responder.SenderIdentity{MAC: guestMAC, Sender: guestIP, Target: otherIP}
	onlyMAC := responder.SenderIdentity{MAC: guestMAC}
	of := func(change func(*ipFrame)) []byte { return datagram.with(change).bytes() }
	tests := []struct {
		name  string
		frame []byte
		want  responder.SenderIdentity
	}{
		{"ARP", ask.bytes(), complete},
		{"tagged ARP", ask.tagged(0x8100_0005, 0x8100_0000).bytes(), complete},
		{"ARP with another Ethernet source", mismatch.bytes(), complete},
		{"a probe", request(guestMAC, noIP, guestIP).bytes(), responder.SenderIdentity{MAC: guestMAC, Sender: noIP, Target: guestIP}},
		{"malformed ARP", ask.bytes()[:41], onlyMAC},
		{"IPv4", datagram.bytes(), complete},
		{"tagged IPv4", of(func(f *ipFrame) { f.tags = []uint32{0x8100_0005} }), complete},
		{"malformed IPv4", of(func(f *ipFrame) { f.version = 5 }), onlyMAC},
		{"IPv6", of(func(f *ipFrame) { f.etherType = 0x86dd }), onlyMAC},
		{"an Ethernet header", datagram.bytes()[:14], onlyMAC},
		{"a cut Ethernet header", datagram.bytes()[:13], responder.SenderIdentity{}},
		{"a cut tag", ask.tagged(0x8100_0005).bytes()[:17], responder.SenderIdentity{}},
		{"nothing", nil, responder.SenderIdentity{Sender: netip.Addr{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got responder.SenderIdentity
			if allocs := testing.AllocsPerRun(10, func() { got = responder.SenderIdentityOf(tt.frame) }); allocs != 0 {
				t.Errorf("%v allocations", allocs)
			}
			if got != tt.want {
				t.Errorf("identity is %+v; want %+v", got, tt.want)
			}
		})
	}
}
