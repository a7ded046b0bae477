package registry

import (
	"fmt"
	"net"
)

// MAC is a 48-bit Ethernet address in transmission order. Unlike [net.HardwareAddr] it is comparable and needs no
// allocation.
type MAC [6]byte

// ParseMAC parses a 6-byte MAC in any notation that [net.ParseMAC] accepts: 02:00:06:de:54:a8, 02-00-06-de-54-a8 or
// 0200.06de.54a8. Longer addresses (EUI-64, InfiniBand) are errors.
func ParseMAC(s string) (MAC, error) {
	if mac, ok := parseColons(s); ok { // most of a million MACs, without an allocation
		return mac, nil
	}
	addr, err := net.ParseMAC(s)
	if err != nil || len(addr) != len(MAC{}) {
		return MAC{}, fmt.Errorf("%q is not a MAC address; write six bytes, like 02:00:06:de:54:a8", s)
	}
	return MAC(addr), nil
}

// parseColons parses the notation that String writes.
func parseColons(s string) (m MAC, ok bool) {
	if len(s) != 3*len(m)-1 {
		return m, false
	}
	for i := range m {
		high, low := hexDigit(s[3*i]), hexDigit(s[3*i+1])
		if high < 0 || low < 0 || i > 0 && s[3*i-1] != ':' {
			return m, false
		}
		m[i] = byte(high<<4 | low)
	}
	return m, true
}

// hexDigit returns the value of a hexadecimal digit, or -1.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// String returns m as tcpdump prints it: 02:00:06:de:54:a8.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// IsUnicast reports whether m can be the address of one station: it is not zero, and its group bit is clear (IEEE
// 802-2014, 8.4.2: the lowest bit of the first byte, which is set in broadcast and multicast MACs).
func (m MAC) IsUnicast() bool { return m != MAC{} && m[0]&1 == 0 }
