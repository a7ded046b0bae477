package demo

import (
	"encoding/binary"
	"slices"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/mdlayher/ethernet"
)

// mark returns a frame from app to a guest that the fabric has no say in. It takes the way that the
// requests took: once it is there, what is not there yet will never be.
//
// It is an IPv4 packet with an ICMP echo reply that nobody asked for: kernels receive it in silence.
func mark(to lab.GuestConfig) []byte {
	const (
		versionAndLength = 0x45 // IPv4, a header of 5 words (RFC 791, 3.1)
		totalLength      = 28
		timeToLive       = 64
		protocolICMP     = 1
	)
	etherType := binary.BigEndian.AppendUint16(nil, uint16(ethernet.EtherTypeIPv4))
	header := []byte{versionAndLength, 0, 0, totalLength, 0, 0, 0, 0, timeToLive, protocolICMP, 0, 0}
	header = slices.Concat(header, appIP.AsSlice(), to.Addr.Addr().AsSlice())
	binary.BigEndian.PutUint16(header[10:], checksum(header))
	echoReply := []byte{0, 0, 0xff, 0xff, 0, 0, 0, 0} // type, code, checksum, identifier, sequence number (RFC 792)
	return slices.Concat(to.MAC, app.MAC, etherType, header, echoReply)
}

// checksum is that of RFC 1071, of an even number of bytes.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
