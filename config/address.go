package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// parseAddress parses an IPv4 address: four decimal numbers without leading zeros.
func parseAddress(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	switch {
	case err == nil && addr.Is4():
		return addr, nil
	case err == nil:
		return netip.Addr{}, fmt.Errorf("%s is an IPv6 address: ARP and its registry are for IPv4", quote(text))
	case hasLeadingZero(text):
		return netip.Addr{}, fmt.Errorf("%s has a number with a leading zero, which some programs read as octal: "+
			"write it without the zero", quote(text))
	}
	return netip.Addr{}, fmt.Errorf("%s is not an IPv4 address", quote(text))
}

// hasLeadingZero reports whether text is an IPv4 address except for leading zeros in its numbers.
func hasLeadingZero(text string) bool {
	numbers := strings.Split(text, ".")
	for i, number := range numbers {
		if trimmed := strings.TrimLeft(number, "0"); trimmed != "" {
			numbers[i] = trimmed
		} else if number != "" {
			numbers[i] = "0"
		}
	}
	_, err := netip.ParseAddr(strings.Join(numbers, "."))
	return err == nil
}

// parsePrefix parses an IPv4 prefix: 10.239.0.0/24.
func parsePrefix(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		// netip's error does not say which part is wrong.
		address, bits, hasLength := strings.Cut(text, "/")
		if _, err := parseAddress(address); err != nil {
			return netip.Prefix{}, err
		}
		if !hasLength {
			return netip.Prefix{}, fmt.Errorf("%s has no prefix length: write it as in %s/24", quote(text), address)
		}
		return netip.Prefix{}, fmt.Errorf("%s is not the length of an IPv4 prefix: want 0 to 32, as in %s/24",
			quote(bits), address)
	case !prefix.Addr().Is4():
		return netip.Prefix{}, fmt.Errorf("%s is an IPv6 prefix: ARP and its registry are for IPv4", quote(text))
	case prefix != prefix.Masked():
		return netip.Prefix{}, fmt.Errorf("%s has host bits set; the prefix is %s", quote(text), prefix.Masked())
	}
	return prefix, nil
}

// parseAddresses parses a key of a registry: an address, a range (10.239.0.128-10.239.0.191) or a prefix.
func parseAddresses(text string) (first, last netip.Addr, err error) {
	if strings.Contains(text, "/") {
		prefix, err := parsePrefix(text)
		return prefix.Addr(), lastOf(prefix), err
	}
	from, to, isRange := strings.Cut(text, "-")
	if first, err = parseAddress(from); err != nil || !isRange {
		return first, first, err
	}
	last, err = parseAddress(to)
	return first, last, err
}

// lastOf returns the highest address of an IPv4 prefix.
func lastOf(p netip.Prefix) netip.Addr {
	if !p.IsValid() {
		return netip.Addr{}
	}
	b := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

// checkInSubnet returns an error unless hosts of the subnet can have all addresses from first to last. The lowest address
// of a subnet is the network's, and the highest is its broadcast address (RFC 1122, 3.2.1.3), except in a /31 (RFC 3021)
// and a /32. So a range that covers the whole subnet is an error too.
func checkInSubnet(subnet netip.Prefix, first, last netip.Addr) error {
	if !subnet.Contains(first) || !subnet.Contains(last) {
		return fmt.Errorf("%s is outside the network's subnet %s", addressRange(first, last), subnet)
	}
	if subnet.Bits() >= 31 || last.Less(first) {
		return nil
	}
	lowest, highest := subnet.Addr(), lastOf(subnet)
	switch what := addressRange(first, last); {
	case first == last && first == lowest:
		return fmt.Errorf("%s is the network address of subnet %s, which no host can have", what, subnet)
	case first == last && first == highest:
		return fmt.Errorf("%s is the broadcast address of subnet %s, which no host can have", what, subnet)
	case first == lowest || last == highest:
		return fmt.Errorf("%s contains the network or broadcast address of subnet %s, which no host can have; "+
			"its hosts are %s", what, subnet, addressRange(larger(first, lowest.Next()), smaller(last, highest.Prev())))
	}
	return nil
}

// addressRange returns "first-last", or one address if they are equal.
func addressRange(first, last netip.Addr) string {
	if first == last {
		return first.String()
	}
	return first.String() + "-" + last.String()
}

func larger(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return b
	}
	return a
}

func smaller(a, b netip.Addr) netip.Addr {
	if b.Less(a) {
		return b
	}
	return a
}
