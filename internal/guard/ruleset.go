package guard

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"
)

// A ruleset is what the table should hold.
type ruleset struct {
	sets        []set
	chains      []chain               // those that are gone to first
	populations map[string]population // by network: what the sets of bindings should hold
}

// A set is a named set, or map, of the table. What the kernel fills by itself, and what comes of a registry, is
// not among its elements.
type set struct {
	nftables.Set
	fromRegistry bool
	elements     []element // each once, in order
}

// An element is one of a set. The fields are bytes, as the kernel compares them.
type element struct {
	key  string
	last string // the end of an interval, both ends included; "" for one value
	goTo string // the chain that a map leads to
}

// ruleset returns what the table should hold. group is the NFLOG group; namesBridges
// says whether the kernel's rules can look at which bridge a port is a member of.
func (p Plan) ruleset(group uint16, namesBridges bool) ruleset {
	is := func(a ARP) func(Network) bool { return func(n Network) bool { return n.ARP == a } }
	isFull := func(n Network) bool { return n.AllowList == Enforce }
	hearsHost := func(n Network) bool { return n.ARP == Observe && n.HearsHost }
	r := ruleset{
		sets: []set{
			portMap(mapPorts, "by which rules a port's frames go", p.dispatch()),
			portMap(mapForwarding, "which other members may hear what the allow-list admits", p.forwarding()),
			p.unicast(),
			nameSet(setGuests, "guest ports whose ARP is for the fabric", p.guests(is(HandOver))),
			nameSet(setSteered, "guest ports whose ARP is for a TAP", p.guests(is(Steer))),
			nameSet(setFull, "guest ports with an allow-list", p.guests(isFull)),
			nameSet(setUplinks, "ports that lead elsewhere", p.uplinks()),
			nameSet(setTAPs, "the fabric's own", p.taps()),
			nameSet(setMembers, "whom admitted frames may reach", append(p.guests(isFull), p.uplinks()...)),
			nameSet(setAsked, "guest ports where the fabric hears the host ask, in classic mode", p.guests(hearsHost)),
			tags(),
			counters(setRefused, "frames that were not on the allow-list, by port"),
			counters(setCurbed, "ARP frames over the rate limit, by port"),
			limits(setSampled, "samples of what was refused, by port"),
			limits(setLoud, "ARP by uplink"),
		},
		chains:      sharedChains(group),
		populations: map[string]population{},
	}
	for _, n := range p.Networks {
		r.sets = append(r.sets, n.sets()...)
		r.chains = append(r.chains, n.chains()...)
		if n.AllowList != AllowAll {
			r.populations[n.Name] = n.population()
		}
	}
	if namesBridges {
		r.close(p)
	}
	r.chains = append(r.chains, baseChains(namesBridges)...)
	return r
}

// withoutBindings returns a ruleset with nothing in the sets that a registry fills: ARP is handed over, and an allow-list
// admits nobody.
func (r ruleset) withoutBindings() ruleset {
	r.populations = nil
	return r
}

// dispatch leads every port to its network's rules.
func (p Plan) dispatch() []element {
	var list []element
	for _, n := range p.Networks {
		for _, port := range n.Guests {
			list = append(list, element{key: portKey(port), goTo: ofGuest + n.Name})
		}
		for _, port := range n.Uplinks {
			list = append(list, element{key: portKey(port), goTo: chainUplink})
		}
	}
	return list
}

// forwarding leads every port with an allow-list to what its frames may reach.
func (p Plan) forwarding() []element {
	var list []element
	for _, n := range p.Networks {
		if n.AllowList != Enforce {
			continue
		}
		way := chainOfAllowed
		if n.ARP == Steer {
			way = chainOfSteered
		}
		for _, port := range n.Guests {
			list = append(list, element{key: portKey(port), goTo: way})
		}
	}
	return list
}

// unicast has what nearly all admitted frames are, so that one look-up lets them through.
func (p Plan) unicast() set {
	s := set{Set: nftables.Set{
		Table: table(), Name: setUnicast, Comment: "what the allow-list has admitted to one host", Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeEtherType, nftables.TypePktType),
	}}
	for _, port := range p.Admitted() {
		s.elements = append(s.elements, element{key: portKey(port) + unicastIPv4})
	}
	s.elements = once(s.elements)
	return s
}

// sets are the network's own.
func (n Network) sets() []set {
	var list []set
	if n.RateLimit != 0 {
		list = append(list, limits(ofRate+n.Name, "ARP by port"))
	}
	if n.AllowList == AllowAll {
		return list
	}
	name, mac, ip := nftables.TypeIFName, nftables.TypeEtherAddr, nftables.TypeIPAddr
	list = append(list, n.hostSet())
	for _, s := range []struct {
		of, comment string
		interval    bool
		key         []nftables.SetDatatype
	}{
		{ofMACs, "registered MACs", false, []nftables.SetDatatype{mac}},
		{ofPortMACs, "registered MACs, each with its port", false, []nftables.SetDatatype{name, mac}},
		{ofBoundMACs, "of these, the MACs alone", false, []nftables.SetDatatype{mac}},
		{ofBindings, "who has which address", false, []nftables.SetDatatype{mac, ip}},
		{ofRanges, "who has which addresses", true, []nftables.SetDatatype{mac, ip}},
		{ofPortBindings, "who has which address, by which port", false, []nftables.SetDatatype{name, mac, ip}},
		{ofPortRanges, "who has which addresses, by which port", true, []nftables.SetDatatype{name, mac, ip}},
	} {
		key := nftables.MustConcatSetType(s.key...)
		if len(s.key) == 1 {
			key = s.key[0]
		}
		list = append(list, set{fromRegistry: true, Set: nftables.Set{
			Table: table(), Name: s.of + n.Name, Comment: s.comment,
			KeyType: key, Concatenation: len(s.key) > 1, Interval: s.interval,
		}})
	}
	return list
}

func (n Network) hostSet() set {
	s := set{Set: nftables.Set{Table: table(), Name: ofHost + n.Name, Comment: "the host's MACs", KeyType: nftables.TypeEtherAddr}}
	for _, mac := range n.Host {
		s.elements = append(s.elements, element{key: string(mac[:])})
	}
	s.elements = once(s.elements)
	return s
}

func nameSet(name, comment string, interfaces []string) set {
	var elements []element
	for _, i := range interfaces {
		elements = append(elements, element{key: portKey(i)})
	}
	return set{Set: byPort(name, comment), elements: once(elements)}
}

func portMap(name, comment string, elements []element) set {
	s := byPort(name, comment)
	s.IsMap, s.DataType = true, nftables.TypeVerdict
	return set{Set: s, elements: once(elements)}
}

// forgetAfter is how long a port without refused frames keeps its counters.
const forgetAfter = 24 * time.Hour

// mostPorts is how many ports a dynamic set has room for; no bridge has so many.
const mostPorts = 1 << 16

func counters(name, comment string) set {
	s := byPort(name, comment)
	s.Dynamic, s.HasTimeout, s.Timeout, s.Size = true, true, forgetAfter, mostPorts
	return set{Set: s}
}

func limits(name, comment string) set {
	s := counters(name, comment)
	s.Timeout = time.Minute // after a second without frames a limit is at its start again
	return s
}

func byPort(name, comment string) nftables.Set {
	return nftables.Set{
		Table: table(), Name: name, Comment: comment,
		KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian,
	}
}

func tags() set {
	s := set{Set: nftables.Set{Table: table(), Name: setTags, Comment: "EtherTypes of VLAN tags", KeyType: nftables.TypeEtherType}}
	for _, t := range []uint16{unix.ETH_P_8021Q, unix.ETH_P_8021AD, etherTypeQinQ} {
		s.elements = append(s.elements, element{key: string(be16(t))})
	}
	s.elements = once(s.elements)
	return s
}

// etherTypeQinQ announces a tag too, on older switches.
const etherTypeQinQ = 0x9100

// portKey writes a name, of a port or of a bridge, as the kernel compares it: padded with zeros to IFNAMSIZ.
func portKey(port string) string {
	var key [unix.IFNAMSIZ]byte
	copy(key[:], port)
	return string(key[:])
}

func once(elements []element) []element {
	slices.SortFunc(elements, element.compare)
	return slices.CompactFunc(elements, func(a, b element) bool { return a.key == b.key && a.last == b.last })
}

func (e element) compare(other element) int {
	return cmp.Or(cmp.Compare(e.key, other.key), cmp.Compare(e.last, other.last), cmp.Compare(e.goTo, other.goTo))
}
