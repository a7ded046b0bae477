package responder_test

import (
	"net/netip"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
)

func TestClaimOf(t *testing.T) {
	mismatch := ask.with(func(f *arpFrame) { f.src = strangerMAC })
	whole := responder.Claim{MAC: guestMAC, Sender: guestIP, Target: otherIP}
	onlyMAC := responder.Claim{MAC: guestMAC}
	of := func(change func(*ipFrame)) []byte { return datagram.with(change).bytes() }
	tests := []struct {
		name  string
		frame []byte
		want  responder.Claim
	}{
		{"ARP", ask.bytes(), whole},
		{"tagged ARP", ask.tagged(0x8100_0005, 0x8100_0000).bytes(), whole},
		{"ARP whose Ethernet source is another's", mismatch.bytes(), whole},
		{"a probe", request(guestMAC, noIP, guestIP).bytes(), responder.Claim{MAC: guestMAC, Sender: noIP, Target: guestIP}},
		{"malformed ARP", ask.bytes()[:41], onlyMAC},
		{"IPv4", datagram.bytes(), whole},
		{"tagged IPv4", of(func(f *ipFrame) { f.tags = []uint32{0x8100_0005} }), whole},
		{"malformed IPv4", of(func(f *ipFrame) { f.version = 5 }), onlyMAC},
		{"IPv6", of(func(f *ipFrame) { f.etherType = 0x86dd }), onlyMAC},
		{"an Ethernet header", datagram.bytes()[:14], onlyMAC},
		{"less than that", datagram.bytes()[:13], responder.Claim{}},
		{"a cut tag", ask.tagged(0x8100_0005).bytes()[:17], responder.Claim{}},
		{"nothing", nil, responder.Claim{Sender: netip.Addr{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got responder.Claim
			if allocs := testing.AllocsPerRun(10, func() { got = responder.ClaimOf(tt.frame) }); allocs != 0 {
				t.Errorf("%v allocations", allocs)
			}
			if got != tt.want {
				t.Errorf("claim is %+v; want %+v", got, tt.want)
			}
		})
	}
}
