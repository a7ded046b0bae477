package registry

import (
	"fmt"
	"iter"
	"net/netip"
	"strings"
)

// Prefixes is an immutable list of IPv4 prefixes. Unlike a slice, it is comparable, and so is a [Binding] that has one.
type Prefixes struct {
	packed string // prefixLen bytes each: the address, then the length
}

const prefixLen = 5

// PrefixesOf returns a list of prefixes in the same order. It panics if one is not IPv4.
func PrefixesOf(list ...netip.Prefix) Prefixes {
	packed := make([]byte, 0, len(list)*prefixLen)
	for _, p := range list {
		addr := p.Addr().As4()
		packed = append(append(packed, addr[:]...), byte(p.Bits()))
	}
	return Prefixes{string(packed)}
}

// All yields the prefixes.
func (p Prefixes) All() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for rest := p.packed; rest != ""; rest = rest[prefixLen:] {
			addr := netip.AddrFrom4([4]byte([]byte(rest[:prefixLen-1])))
			if !yield(netip.PrefixFrom(addr, int(rest[prefixLen-1]))) {
				return
			}
		}
	}
}

// IsEmpty reports whether there is no prefix.
func (p Prefixes) IsEmpty() bool { return p.packed == "" }

// Contains reports whether one of the prefixes contains addr.
func (p Prefixes) Contains(addr netip.Addr) bool {
	for prefix := range p.All() {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// String returns the prefixes separated by commas: "10.0.0.0/8, 192.168.0.0/16".
func (p Prefixes) String() string {
	var words []string
	for prefix := range p.All() {
		words = append(words, prefix.String())
	}
	return strings.Join(words, ", ")
}

// check describes what is wrong with the prefixes as routes. It returns "" if nothing is.
func (p Prefixes) check() string {
	for prefix := range p.All() {
		switch hosts := hostRuns(prefix); {
		case prefix != prefix.Masked():
			return fmt.Sprintf("the route %s has host bits set; the prefix is %s", prefix, prefix.Masked())
		case len(hosts) == 0:
			return fmt.Sprintf("the route %s has no address that a host can have", prefix)
		}
	}
	return ""
}

// hostRuns returns the addresses in a prefix that a host can have, in order: not 0.0.0.0/8, loopback, multicast or
// reserved ones.
func hostRuns(prefix netip.Prefix) []interval {
	first := IPv4Of(prefix.Masked().Addr())
	last := first | maxIPv4>>prefix.Bits()
	var runs []interval
	for _, hosts := range []interval{{1 << 24, 127<<24 - 1}, {128 << 24, 224<<24 - 1}} {
		if hosts.first <= last && first <= hosts.last {
			runs = append(runs, interval{max(first, hosts.first), min(last, hosts.last)})
		}
	}
	return runs
}
