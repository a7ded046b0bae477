package lab

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// ARP has the fields of an ARP frame. They need not be consistent.
type ARP struct {
	Destination, Source net.HardwareAddr // in the Ethernet header

	Operation          arp.Operation
	SenderHardwareAddr net.HardwareAddr
	SenderIP           netip.Addr
	TargetHardwareAddr net.HardwareAddr
	TargetIP           netip.Addr
}

// Request returns the request that Linux broadcasts to resolve target (RFC 826): the target's MAC is zero.
func Request(mac net.HardwareAddr, sender, target netip.Addr) ARP {
	return ARP{
		Destination: ethernet.Broadcast, Source: mac,
		Operation:          arp.OperationRequest,
		SenderHardwareAddr: mac, SenderIP: sender,
		TargetHardwareAddr: make([]byte, 6), TargetIP: target,
	}
}

// Frame returns the frame as Linux hands it to an interface: 42 bytes, not padded.
func (a ARP) Frame() []byte {
	packet := arp.Packet{
		HardwareType: 1, ProtocolType: uint16(ethernet.EtherTypeIPv4), HardwareAddrLength: 6, IPLength: 4,
		Operation:          a.Operation,
		SenderHardwareAddr: a.SenderHardwareAddr, SenderIP: a.SenderIP,
		TargetHardwareAddr: a.TargetHardwareAddr, TargetIP: a.TargetIP,
	}
	body, _ := packet.MarshalBinary() // it always returns nil
	frame := append(bytes.Clone(a.Destination), a.Source...)
	frame = binary.BigEndian.AppendUint16(frame, uint16(ethernet.EtherTypeARP))
	return append(frame, body...)
}

// CarriesARP reports whether a receiver may take frame for ARP: behind any number of VLAN tags or none, with or without
// an LLC/SNAP header (RFC 1042), and even if the frame is truncated.
func CarriesARP(frame []byte) bool {
	at := 12
	for len(frame) >= at+2 {
		switch ethernet.EtherType(binary.BigEndian.Uint16(frame[at:])) {
		case ethernet.EtherTypeVLAN, ethernet.EtherTypeServiceVLAN:
			at += 4
			continue
		case ethernet.EtherTypeARP:
			return true
		}
		llc := frame[at+2:]
		return len(llc) >= 8 && llc[0] == 0xaa && llc[1] == 0xaa &&
			ethernet.EtherType(binary.BigEndian.Uint16(llc[6:])) == ethernet.EtherTypeARP
	}
	return false
}
