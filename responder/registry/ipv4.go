package registry

import (
	"encoding/binary"
	"net/netip"
)

// IPv4 is an IPv4 address as a number, with the first byte as the most significant. Registries use it for look-ups.
type IPv4 uint32

// IPv4Of converts an address, which must be IPv4. It panics on any other.
func IPv4Of(addr netip.Addr) IPv4 {
	b := addr.As4()
	return IPv4(binary.BigEndian.Uint32(b[:]))
}

// Addr returns ip as a netip.Addr.
func (ip IPv4) Addr() netip.Addr {
	return netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)})
}

// String returns ip in dotted decimal: 10.239.0.101.
func (ip IPv4) String() string { return ip.Addr().String() }

// CanBeSource reports whether ip can be the source of a frame: it is not multicast, not loopback, and not in 240.0.0.0/4,
// which includes the limited broadcast address (RFC 1122, 3.2.1.3; RFC 6890). 0.0.0.0 can, because probes have it.
func (ip IPv4) CanBeSource() bool { return ip>>24 != 127 && ip>>28 < 0xe }
