package replay

import (
	"encoding/binary"

	"github.com/gopacket/gopacket/layers"
)

// A Linux cooked header replaces the Ethernet header in a capture of the interface "any". It lacks the destination, which
// no decision about ARP depends on. Its layout, in bytes:
//
//	SLL:  packet type 2, hardware type 2, address length 2, source address 8, protocol 2
//	SLL2: protocol 2, reserved 2, interface 4, hardware type 2, packet type 1, address length 1, source address 8
const (
	sllLen  = 16
	sll2Len = 20
)

// Hardware types (ARPHRD_*) of interfaces with Ethernet headers.
const (
	hardwareEthernet = 1
	hardwareLoopback = 772
)

const cookedBroadcast = 1 // the packet type of frames to ff:ff:ff:ff:ff:ff

func isCooked(t layers.LinkType) bool {
	return t == layers.LinkTypeLinuxSLL || t == layers.LinkTypeLinuxSLL2
}

// A cookedHeader has what a Linux cooked header states.
type cookedHeader struct {
	packetType, hardwareType uint16
	addressLen               int
	source                   [6]byte
	protocol                 [2]byte
	len                      int
}

func parseCooked(t layers.LinkType, data []byte) (h cookedHeader, ok bool) {
	switch {
	case t == layers.LinkTypeLinuxSLL && len(data) >= sllLen:
		return cookedHeader{
			packetType: binary.BigEndian.Uint16(data), hardwareType: binary.BigEndian.Uint16(data[2:]),
			addressLen: int(binary.BigEndian.Uint16(data[4:])), source: [6]byte(data[6:]), protocol: [2]byte(data[14:]),
			len: sllLen,
		}, true
	case t == layers.LinkTypeLinuxSLL2 && len(data) >= sll2Len:
		return cookedHeader{
			protocol: [2]byte(data), hardwareType: binary.BigEndian.Uint16(data[8:]), packetType: uint16(data[10]),
			addressLen: int(data[11]), source: [6]byte(data[12:]), len: sll2Len,
		}, true
	}
	return h, false
}

// uncook makes an Ethernet frame of a cooked one in buffer. The destination is zero if it is unknown. ok is false if the
// frame was on an interface without Ethernet headers.
func uncook(t layers.LinkType, data, buffer []byte) (frame []byte, ok bool) {
	h, ok := parseCooked(t, data)
	if !ok || h.hardwareType != hardwareEthernet && h.hardwareType != hardwareLoopback || h.addressLen != len(h.source) {
		return buffer, false
	}
	var destination [6]byte
	if h.packetType == cookedBroadcast {
		destination = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	frame = append(buffer[:0], destination[:]...)
	frame = append(append(frame, h.source[:]...), h.protocol[:]...)
	return append(frame, data[h.len:]...), true
}
