package lab

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
)

// EchoReply returns an Ethernet frame with an ICMP echo reply (RFC 792) around data, which must have an even number of
// bytes. A host that sent no echo request ignores it.
func EchoReply(destination, source net.HardwareAddr, from, to netip.Addr, data []byte) []byte {
	const headerLen, ttl, protocolICMP = 20, 64, 1
	icmp := append(make([]byte, 8), data...) // type 0, code 0; any identifier and number
	binary.BigEndian.PutUint16(icmp[2:], Checksum(icmp))
	header := make([]byte, headerLen)
	header[0], header[8], header[9] = 0x45, ttl, protocolICMP
	binary.BigEndian.PutUint16(header[2:], uint16(headerLen+len(icmp)))
	copy(header[12:], from.AsSlice())
	copy(header[16:], to.AsSlice())
	binary.BigEndian.PutUint16(header[10:], Checksum(header))
	return slices.Concat(destination, source, []byte{0x08, 0x00}, header, icmp)
}

// Checksum returns the Internet checksum (RFC 1071) of an even number of bytes. A host drops packets whose checksum is
// wrong, and a bridge may drop them too.
func Checksum(data []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(data); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
