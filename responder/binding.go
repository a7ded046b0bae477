package responder

import (
	"fmt"
	"net/netip"
)

// Origin is the place a binding was read from. The zero Origin stands for none.
type Origin struct {
	File string
	Line int // from 1
}

// String writes "file:line", or nothing for the zero Origin.
func (o Origin) String() string {
	if o == (Origin{}) {
		return ""
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}

// Binding gives the IPv4 addresses First to Last, both included, to one MAC. First and Last are the same
// for the common binding of one address.
type Binding struct {
	First, Last netip.Addr
	MAC         MAC
	Name        string // of the host, for people; may be empty
	Port        string // the only port its owner may send from; empty for any
	Origin      Origin
}

// String writes the binding's addresses and MAC: "10.239.0.101 is-at 02:00:06:de:54:a8".
func (b Binding) String() string {
	if b.First == b.Last {
		return fmt.Sprintf("%s is-at %s", b.First, b.MAC)
	}
	return fmt.Sprintf("%s-%s is-at %s", b.First, b.Last, b.MAC)
}

// check returns what is wrong with b in itself, or nothing.
func (b Binding) check() string {
	switch {
	case !b.First.Is4() || !b.Last.Is4():
		return "its addresses are not IPv4"
	case b.Last.Less(b.First):
		return fmt.Sprintf("its range ends before it starts (%s-%s)", b.First, b.Last)
	case b.First.As4()[0] == 0:
		return fmt.Sprintf("%s is in 0.0.0.0/8, which no host can have", b.First)
	case b.First.As4()[0] <= 127 && b.Last.As4()[0] >= 127:
		return fmt.Sprintf("%s is in 127.0.0.0/8, the loopback network", later(b.First, netip.AddrFrom4([4]byte{127})))
	case toIPv4(b.Last).cannotSend():
		return fmt.Sprintf("%s is a multicast or reserved address", later(b.First, netip.AddrFrom4([4]byte{224})))
	case !b.MAC.IsUnicast():
		return fmt.Sprintf("%s is not the MAC of one host (it is zero, broadcast or multicast)", b.MAC)
	}
	return ""
}

func later(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return b
	}
	return a
}
