package registry

import (
	"cmp"
	"fmt"
	"net/netip"
)

// Origin is the place that a binding was read from. The zero Origin means that it is unknown.
type Origin struct {
	Source string // the path of a file, or the name of another source
	Line   int    // in the file, from 1; 0 if the source has no lines
}

// String returns "source:line", or only the source if Line is 0. It returns "" for the zero Origin.
func (o Origin) String() string {
	if o.Line == 0 {
		return o.Source
	}
	return fmt.Sprintf("%s:%d", o.Source, o.Line)
}

// Binding binds the IPv4 addresses from First to Last, both included, to one MAC. First and Last are equal for a binding
// of one address, which is the common case. They are zero for a binding of a MAC alone, whose owner has no IPv4 address.
type Binding struct {
	First, Last netip.Addr
	MAC         MAC    // the owner; with Candidates the present holder
	Name        string // the host's name, for people to read; may be empty
	Port        string // the only port that the owner may send from; empty for any
	Origin      Origin

	// Candidates are the MACs between which the addresses may move: that of the holder and others. Empty if they do not move.
	Candidates MACs

	// Routes are more addresses that the owner may send from and receive for, because it is a router. Those that no host
	// can have do not count. The addresses are not bound to it: ARP is not affected.
	Routes Prefixes
}

// IsAlone reports whether b is a binding of a MAC alone.
func (b Binding) IsAlone() bool { return b.First == netip.Addr{} && b.Last == netip.Addr{} }

// String returns the binding's addresses and MAC: "10.239.0.101 is-at 02:00:06:de:54:a8"; for a MAC alone only the MAC.
func (b Binding) String() string {
	if b.IsAlone() {
		return b.MAC.String()
	}
	return fmt.Sprintf("%s is-at %s", b.Addresses(), b.MAC)
}

// Addresses returns the binding's addresses: "10.239.0.101", or "10.239.0.128-10.239.0.191"; for a MAC alone
// "no address".
func (b Binding) Addresses() string {
	switch {
	case b.IsAlone():
		return "no address"
	case b.First == b.Last:
		return b.First.String()
	}
	return fmt.Sprintf("%s-%s", b.First, b.Last)
}

// check describes what is wrong with b, regardless of other bindings. It returns "" if nothing is.
func (b Binding) check() string {
	if problem := b.checkAddresses(); problem != "" && !b.IsAlone() {
		return problem
	}
	if !b.MAC.IsUnicast() {
		return fmt.Sprintf("%s is not a unicast MAC (it is zero, broadcast or multicast)", b.MAC)
	}
	return cmp.Or(b.checkCandidates(), b.Routes.check())
}

// interval returns the addresses as numbers. They must be IPv4.
func (b Binding) interval() interval { return interval{IPv4Of(b.First), IPv4Of(b.Last)} }

func (b Binding) checkAddresses() string {
	switch {
	case !b.First.Is4() || !b.Last.Is4():
		return "not an IPv4 address"
	case b.Last.Less(b.First):
		return fmt.Sprintf("the range ends before it starts (%s-%s)", b.First, b.Last)
	case b.First.As4()[0] == 0:
		return fmt.Sprintf("%s is in 0.0.0.0/8, which no host can have", b.First)
	case b.First.As4()[0] <= 127 && b.Last.As4()[0] >= 127:
		return fmt.Sprintf("%s is in 127.0.0.0/8, the loopback network", later(b.First, netip.AddrFrom4([4]byte{127})))
	case !IPv4Of(b.Last).CanBeSource():
		return fmt.Sprintf("%s is a multicast or reserved address", later(b.First, netip.AddrFrom4([4]byte{224})))
	}
	return ""
}

func later(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return b
	}
	return a
}
