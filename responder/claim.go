package responder

import (
	"encoding/binary"
	"net/netip"

	"github.com/mdlayher/ethernet"
)

// Claim is what a frame says of who sends it, true or not.
type Claim struct {
	// MAC is the SenderHardwareAddr of ARP, else the Ethernet source.
	MAC MAC

	// Sender and Target are ARP's SenderIP and TargetIP, or IPv4's source and destination. They are the zero
	// Addr of a frame that has none.
	Sender, Target netip.Addr
}

// ClaimOf reads the claim that a frame makes; a frame without a whole Ethernet header makes none. It takes any
// bytes for a frame and allocates nothing.
func ClaimOf(frame []byte) Claim {
	var p packet
	if p.parse(frame) == 0 {
		return Claim{p.senderMAC, p.senderIP.addr(), p.targetIP.addr()}
	}
	_, at, ok := skipTags(frame)
	if !ok {
		return Claim{}
	}
	c := Claim{MAC: MAC(frame[6:12])}
	var ip ipPacket
	kind := ethernet.EtherType(binary.BigEndian.Uint16(frame[at:]))
	if kind == ethernet.EtherTypeIPv4 && ip.parse(frame[at+2:]) {
		c.Sender, c.Target = ip.src.addr(), ip.dst.addr()
	}
	return c
}
