package guard

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/responder"
)

// An ownership is a run of addresses and who has it, in 16 bytes, as there may be millions.
type ownership struct {
	first, last uint32
	mac         responder.MAC
	port        uint16 // index into ownerships.ports; 0 for any
}

// A sender is a MAC, and the port that it may send from; any for 0.
type sender struct {
	mac  responder.MAC
	port uint16
}

// ownerships are those of one or two populations, by address.
type ownerships struct {
	before, after []ownership
	ports         []string
}

// A population is who may send by a network's guest ports: everybody in its registry but the host.
type population struct {
	registry *responder.Registry // nil for nobody
	hosts    string              // MACs, one behind the other
}

func (n Network) population() population {
	p := population{registry: n.Registry}
	for _, mac := range n.Host {
		p.hosts += string(mac[:])
	}
	return p
}

func (p population) isHost(mac responder.MAC) bool {
	for hosts := p.hosts; len(hosts) > 0; hosts = hosts[len(mac):] {
		if hosts[:len(mac)] == string(mac[:]) {
			return true
		}
	}
	return false
}

// comparePopulations takes the ownerships of two populations.
func comparePopulations(before, after population) *ownerships {
	o := &ownerships{ports: []string{""}}
	numbers := map[string]uint16{"": 0}
	o.before = o.read(before, numbers)
	o.after = o.read(after, numbers)
	return o
}

func (o *ownerships) read(p population, numbers map[string]uint16) []ownership {
	if p.registry == nil {
		return nil
	}
	list := make([]ownership, 0, p.registry.Len())
	for b := range p.registry.Owners() {
		if p.isHost(b.MAC) {
			continue
		}
		number, ok := numbers[b.Port]
		if !ok {
			number = uint16(len(o.ports))
			numbers[b.Port] = number
			o.ports = append(o.ports, b.Port)
		}
		list = append(list, ownership{toNumber(b.First), toNumber(b.Last), b.MAC, number})
	}
	return list
}

// removed and added yield, by the word that the set's name begins with, the elements that have to go from the
// sets of bindings, and those that have to come.
func (o *ownerships) removed() iter.Seq2[string, element] { return o.without(o.before, o.after) }
func (o *ownerships) added() iter.Seq2[string, element]   { return o.without(o.after, o.before) }

// without yields the elements of list that other does not lead to.
func (o *ownerships) without(list, other []ownership) iter.Seq2[string, element] {
	return func(yield func(string, element) bool) {
		touched := map[responder.MAC]bool{}
		for run := range unlike(list, other, ownership.compare) {
			if len(other) > 0 {
				touched[run.mac] = true
			}
			if !yield(o.element(run)) {
				return
			}
		}
		have, had := sendersAmong(touched, list), sendersAmong(touched, other)
		for s := range unlike(have, had, sender.compare) {
			if !yield(o.senderElement(s)) {
				return
			}
		}
		for mac := range unlike(boundAmong(have), boundAmong(had), boundMAC.compare) {
			if !yield(ofBoundMACs, element{key: string(mac[:])}) {
				return
			}
		}
	}
}

// unlike yields what is in list and not in other, both of which are in order.
func unlike[T comparable](list, other []T, compare func(T, T) int) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, v := range list {
			for len(other) > 0 && compare(other[0], v) < 0 {
				other = other[1:]
			}
			if (len(other) == 0 || other[0] != v) && !yield(v) {
				return
			}
		}
	}
}

// sendersAmong returns, in order, the senders in list whose MACs are touched; all if nothing is said to be.
func sendersAmong(touched map[responder.MAC]bool, list []ownership) []sender {
	var senders []sender
	for _, run := range list {
		if len(touched) == 0 || touched[run.mac] {
			senders = append(senders, sender{run.mac, run.port})
		}
	}
	slices.SortFunc(senders, sender.compare)
	return slices.Compact(senders)
}

// boundAmong returns, in order, the MACs of senders that have a port.
func boundAmong(senders []sender) []boundMAC {
	var macs []boundMAC
	for _, s := range senders {
		if s.port != 0 {
			macs = append(macs, boundMAC(s.mac))
		}
	}
	return slices.Compact(macs)
}

// element is a run of addresses as the kernel looks for it.
func (o *ownerships) element(run ownership) (of string, e element) {
	single := run.first == run.last
	switch {
	case run.port == 0 && single:
		of = ofBindings
	case run.port == 0:
		of = ofRanges
	case single:
		of = ofPortBindings
	default:
		of = ofPortRanges
	}
	who := o.portKey(run.port) + padded(run.mac)
	e.key = who + addrKey(run.first)
	if !single {
		e.last = who + addrKey(run.last)
	}
	return of, e
}

func (o *ownerships) senderElement(s sender) (of string, e element) {
	if s.port == 0 {
		return ofMACs, element{key: string(s.mac[:])}
	}
	return ofPortMACs, element{key: o.portKey(s.port) + padded(s.mac)}
}

// portKey is what an element begins with that has a port.
func (o *ownerships) portKey(port uint16) string {
	if port == 0 {
		return ""
	}
	return portKey(o.ports[port])
}

// padded writes a MAC as a part of a longer key: in words of 4 bytes.
func padded(mac responder.MAC) string { return string(mac[:]) + "\x00\x00" }

func addrKey(addr uint32) string { return string(binary.BigEndian.AppendUint32(nil, addr)) }

func toNumber(addr netip.Addr) uint32 {
	b := addr.As4()
	return binary.BigEndian.Uint32(b[:])
}

func (o ownership) compare(other ownership) int { return cmp.Compare(o.first, other.first) }

func (s sender) compare(other sender) int {
	return cmp.Or(bytes.Compare(s.mac[:], other.mac[:]), cmp.Compare(s.port, other.port))
}

// A boundMAC is the MAC of a binding with a port.
type boundMAC responder.MAC

func (m boundMAC) compare(other boundMAC) int { return bytes.Compare(m[:], other[:]) }
