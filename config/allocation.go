package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// Allocation says how addresses of a network are allocated at runtime.
type Allocation struct {
	From     Range      // where addresses are taken from; the zero Range for the subnet
	Reserved []Range    // never allocated
	MAC      MACPattern // of the MACs that are made
	Hold     time.Duration
}

// Range holds the addresses from First to Last, both included.
type Range struct{ First, Last netip.Addr }

// ParseRange parses an address, a range (10.239.0.128-10.239.0.191) or a prefix.
func ParseRange(text string) (Range, error) {
	first, last, err := parseAddresses(text)
	if err == nil && last.Less(first) {
		err = fmt.Errorf("the range ends before it starts (%s)", addressRange(first, last))
	}
	return Range{first, last}, err
}

// Contains reports whether the range has an address.
func (r Range) Contains(addr netip.Addr) bool {
	return r.First.IsValid() && !addr.Less(r.First) && !r.Last.Less(addr)
}

// String returns "10.239.0.128-10.239.0.191", or one address.
func (r Range) String() string { return addressRange(r.First, r.Last) }

// A MACPattern makes MACs: some bytes are fixed, the others count.
type MACPattern struct {
	Fixed    registry.MAC
	Variable [len(registry.MAC{})]bool
}

// ParseMACPattern parses a pattern: six bytes, as in a MAC, of which those that count are written "*".
func ParseMACPattern(text string) (p MACPattern, err error) {
	words := strings.Split(text, ":")
	variable := 0
	for i, word := range words {
		if len(words) != len(p.Fixed) {
			break
		}
		if word == "*" {
			p.Variable[i] = true
			variable++
			continue
		}
		n, err := strconv.ParseUint(word, 16, 8)
		if err != nil || len(word) != 2 {
			variable = 0
			break
		}
		p.Fixed[i] = byte(n)
	}
	if variable == 0 || p.Variable[0] || !p.MAC(1).IsUnicast() {
		return MACPattern{}, fmt.Errorf("%s is not a pattern of unicast MACs: write six bytes, and * for those that count, "+
			"but not for the first: %s", quote(text), captured)
	}
	return p, nil
}

// captured is the pattern of the MACs that a real VPC was seen to use.
const captured = "02:00:*:de:54:a8"

// defaultMACPattern returns the pattern of the captured MACs, with as many bytes that count as the hosts of the subnet
// need.
func defaultMACPattern(subnet netip.Prefix) MACPattern {
	p, _ := ParseMACPattern(captured)
	if subnet.IsValid() && subnet.Bits() >= 24 {
		return p
	}
	p.Variable[1], p.Fixed[1] = true, 0
	if subnet.IsValid() && subnet.Bits() < 16 {
		p.Variable[3], p.Fixed[3] = true, 0
	}
	return p
}

// Len returns the number of MACs of the pattern.
func (p MACPattern) Len() uint64 {
	n := uint64(1)
	for _, v := range p.Variable {
		if v {
			n <<= 8
		}
	}
	return n
}

// MAC returns the n-th MAC of the pattern. It counts from 0, and begins again after Len.
func (p MACPattern) MAC(n uint64) registry.MAC {
	mac := p.Fixed
	for i := len(mac) - 1; i >= 0; i-- {
		if p.Variable[i] {
			mac[i] = byte(n)
			n >>= 8
		}
	}
	return mac
}

// String returns the pattern as it is written.
func (p MACPattern) String() string {
	words := make([]string, len(p.Fixed))
	for i, b := range p.Fixed {
		words[i] = fmt.Sprintf("%02x", b)
		if p.Variable[i] {
			words[i] = "*"
		}
	}
	return strings.Join(words, ":")
}

// allocation converts how addresses are allocated.
func (c *converter) allocation(raw rawAllocation, subnet netip.Prefix) Allocation {
	a := Allocation{MAC: defaultMACPattern(subnet), Hold: c.duration(raw.Hold, holds)}
	if raw.From.readable() {
		a.From = c.addressRange(raw.From)
		if subnet.IsValid() && a.From != (Range{}) && !(subnet.Contains(a.From.First) && subnet.Contains(a.From.Last)) {
			c.add(raw.From.place, "%s is outside the network's subnet %s", a.From, subnet)
		}
	}
	for _, v := range raw.Reserved {
		if v.readable() {
			a.Reserved = append(a.Reserved, c.addressRange(v))
		}
	}
	if raw.MAC.readable() {
		var err error
		if a.MAC, err = ParseMACPattern(raw.MAC.text); err != nil {
			c.add(raw.MAC.place, "%s", err)
		}
	}
	return a
}

// addressRange returns the zero Range if it reports a problem.
func (c *converter) addressRange(v value) Range {
	r, err := ParseRange(v.text)
	if err != nil {
		c.add(v.place, "%s", err)
		return Range{}
	}
	return r
}

// holds are the times that a freed address can be held.
var holds = durations{0, 30 * 24 * time.Hour, "0s to 720h"}

// durations are those from one to another. The text is for errors.
type durations struct {
	shortest, longest time.Duration
	text              string
}

func (c *converter) duration(v value, allowed durations) time.Duration {
	if v.broken {
		return 0
	}
	d, err := time.ParseDuration(v.text)
	if err != nil || d < allowed.shortest || d > allowed.longest {
		c.add(v.place, "want a duration, such as 90s, 10m or 24h, from %s, not %s", allowed.text, quote(v.text))
	}
	return d
}

// CheckAddress returns an error if no binding of the network can have an address.
func (n *Network) CheckAddress(addr netip.Addr) error {
	if !n.Subnet.IsValid() {
		return nil
	}
	return checkInSubnet(n.Subnet, addr, addr)
}

// CheckPort returns an error if no binding of the network can name a port.
func (n *Network) CheckPort(name string) error {
	switch {
	case !n.Attach.SeesPorts():
		return fmt.Errorf("a port needs a network that is attached to a bridge: on %s all guests are behind the same port", n.Attach)
	case slices.Contains(n.Attach.Uplinks, name):
		return fmt.Errorf("%s is an uplink of the network, not a guest port", name)
	}
	return checkInterfaceName(name)
}
