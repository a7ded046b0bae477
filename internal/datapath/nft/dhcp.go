package nft

import (
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// dhcpRules returns the rules for a guest's frames to the UDP ports of DHCP servers and clients. A request that the
// client itself sends continues as other IPv4 does.
func (n network) dhcpRules() []rule {
	limit := &expr.Limit{Type: expr.LimitTypePkts, Rate: dhcpPerSecond, Unit: expr.LimitTimeSecond, Burst: dhcpBurst, Over: true}
	return []rule{
		{"to a DHCP client: no guest is a server", transport(2, be16(68)), goTo(n.refuse())},
		{"over the port's limit", forPort(setDHCPLimit, limit), goTo(n.overLimit())},
		{"a client's request, in its own name and by no relay", isDHCPRequest(), goTo(ofDestination + n.Name)},
		{"a request of another client, or by a relay", nil, goTo(n.refuse())},
	}
}

// isForDHCP matches UDP to a DHCP server or client. Servers do not look at the port that a request comes from, nor clients
// at that of an answer.
var isForDHCP = all(
	transportRange(2, be16(67), be16(68)),
	meta(expr.MetaKeyL4PROTO), is([]byte{unix.IPPROTO_UDP}),
	load(ipFragmentOffset, 2), isNoLaterFragment,
)

// The offsets of a DHCP message's fields from the start of the UDP header (RFC 2131, section 2).
const (
	udpLength  = 4
	dhcpOp     = 8 // then htype and hlen
	dhcpGIAddr = 32
	dhcpCHAddr = 36
)

// isDHCPRequest matches a request over Ethernet without a giaddr, whose chaddr is the Ethernet source. It does not match
// fragments, nor datagrams that end before chaddr by their own length: padding may follow in the frame.
func isDHCPRequest() []expr.Any {
	const bootRequest, ethernet = 1, 1
	match := all(
		load(ipFragmentOffset, 2), isNoFragment,
		loadTransport(udpLength, 2), compare(expr.CmpOpGte, be16(dhcpCHAddr+macLen)),
		transport(dhcpOp, []byte{bootRequest, ethernet, macLen}), transport(dhcpGIAddr, make([]byte, ipLen)),
	)
	for i := range uint32(macLen) {
		for _, half := range []byte{0xf0, 0x0f} {
			match = append(match, equal(half,
				expr.Payload{Base: expr.PayloadBaseLLHeader, Offset: etherSource + i},
				expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: dhcpCHAddr + i})...)
		}
	}
	return match
}

// equal matches if a half of two bytes of the frame is equal.
func equal(half byte, a, b expr.Payload) []expr.Any {
	var match []expr.Any
	for i, one := range []expr.Payload{a, b} {
		one.DestRegister, one.Len = register(uint32(i)), 1
		match = append(match, &one, &expr.Bitwise{
			SourceRegister: one.DestRegister, DestRegister: one.DestRegister, Len: 1, Mask: []byte{half}, Xor: []byte{0},
		})
	}
	return append(match, inFirst(setEqual)...)
}
