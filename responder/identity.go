package responder

import (
	"net/netip"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/ethernet"
)

// SenderIdentity is the MAC and the addresses that a frame claims for its sender. They may be forged.
type SenderIdentity struct {
	// MAC is ARP's SenderHardwareAddr; for other frames the Ethernet source.
	MAC registry.MAC

	// Sender and Target are ARP's SenderIP and TargetIP, or IPv4's source and destination; for other frames the zero
	// Addr.
	Sender, Target netip.Addr
}

// SenderIdentityOf reads the sender's identity from a frame. It returns the zero SenderIdentity if the Ethernet header is
// incomplete. It accepts any bytes and allocates nothing.
func SenderIdentityOf(frame []byte) SenderIdentity {
	h, ok := ParseHeader(frame)
	if !ok {
		return SenderIdentity{}
	}
	body := frame[h.Len:]
	var p packet
	if p.parse(&h, body) {
		return SenderIdentity{p.senderMAC, p.senderIP.Addr(), p.targetIP.Addr()}
	}
	id := SenderIdentity{MAC: h.Source}
	var ip ipPacket
	if h.EtherType == ethernet.EtherTypeIPv4 && ip.parse(body) {
		id.Sender, id.Target = ip.src.Addr(), ip.dst.Addr()
	}
	return id
}
