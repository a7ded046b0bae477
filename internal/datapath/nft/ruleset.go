package nft

import (
	"cmp"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"
)

// A ruleset has the contents that the table should have.
type ruleset struct {
	sets    []set
	chains  []chain                   // a chain comes before the chains that go to it
	senders map[string]allowedSenders // contents of the sets of bindings, by network
}

// A set is a named set, or map, of the table.
type set struct {
	nftables.Set
	fromRegistry bool      // its contents follow from ruleset.senders, and elements is empty
	elements     []element // each once, sorted; empty if the kernel fills the set
}

// An element is an element of a set. The fields have the bytes that the kernel compares.
type element struct {
	key  string
	last string // the last value of an interval, inclusive; "" for a single value
	goTo string // in a map, the chain that the key leads to
}

// plan and network have the methods that turn a plan, and a network of it, into a ruleset.
type (
	plan    struct{ datapath.Plan }
	network struct{ datapath.Network }
)

// ruleset returns the contents that the table should have. group is the NFLOG group. bridgeMeta says whether rules can
// match the bridge of a port.
func (p plan) ruleset(group uint16, bridgeMeta bool) ruleset {
	is := func(m datapath.ARPMode) func(datapath.Network) bool {
		return func(n datapath.Network) bool { return n.ARP == m }
	}
	isFull := func(n datapath.Network) bool { return n.AllowList == datapath.Enforce }
	isOpen := func(n datapath.Network) bool { return n.IsolatesARP() && !isFull(n) }
	seesHost := func(n datapath.Network) bool { return n.ARP == datapath.Observe && n.SeesHost }
	r := ruleset{
		sets: []set{
			p.located(),
			portMap(mapPorts, "the chain for frames from a port", p.dispatch()),
			portMap(mapForwarding, "the chain for admitted frames from a port, before they leave", p.forwarding()),
			portMap(mapDelivery, "the chain for frames from uplinks to a port", p.delivery(ofDelivery)),
			portMap(mapFromHost, "the chain for frames from the host to a port", p.delivery(ofFromHost)),
			p.unicast(),
			nameSet(setGuests, "guest ports whose ARP goes to the fabric", p.GuestsOf(is(datapath.HandOver))),
			nameSet(setSteered, "guest ports whose ARP goes to a TAP", p.GuestsOf(is(datapath.Steer))),
			nameSet(setFull, "guest ports with an allow-list", p.GuestsOf(isFull)),
			nameSet(setOpen, "guest ports without one, whose ARP is kept from other guests", p.GuestsOf(isOpen)),
			nameSet(setUplinks, "uplinks of all networks", p.Uplinks()),
			nameSet(setTAPs, "TAPs of the fabric", p.TAPs()),
			nameSet(setMembers, "members that admitted frames may reach", append(p.GuestsOf(isFull), p.Uplinks()...)),
			nameSet(setObserved, "guest ports where the fabric sees the host's ARP, in classic mode", p.GuestsOf(seesHost)),
			tags(),
			equalHalves(),
			counters(setRefused, "frames not on the allow-list, by port"),
			counters(setRateLimited, "ARP and DHCP over their rate limits, by port"),
			limits(setSampled, "limit of the samples for the fabric, by port"),
			limits(setUplinkLimit, "limit of the ARP for the fabric, by uplink"),
			limits(setDHCPLimit, "limit of the messages to DHCP servers, by port"),
			limits(setLocating, "limit of the samples that show where a MAC is, by port"),
			limits(setAnnouncing, "limit of RARP, by port"),
		},
		chains:  sharedChains(group),
		senders: map[string]allowedSenders{},
	}
	for _, one := range p.Networks {
		n := network{one}
		r.sets = append(r.sets, n.sets()...)
		r.chains = append(r.chains, n.chains()...)
		if n.AllowList != datapath.AllowAll {
			r.senders[n.Name] = n.allowedSenders()
		}
	}
	if bridgeMeta {
		r.isolateUnknown(p)
	}
	r.chains = append(r.chains, baseChains(bridgeMeta)...)
	return r
}

// withoutBindings returns a ruleset whose sets of bindings are empty: it hands ARP over, and its allow-lists admit
// nothing.
func (r ruleset) withoutBindings() ruleset {
	r.senders = nil
	return r
}

// dispatch returns the elements that lead every port to its network's chain.
func (p plan) dispatch() []element {
	var list []element
	for _, n := range p.Networks {
		for _, port := range n.Guests {
			list = append(list, element{key: portKey(port), goTo: network{n}.entrance()})
		}
		for _, port := range n.Uplinks {
			list = append(list, element{key: portKey(port), goTo: chainUplink})
		}
	}
	return list
}

// located returns the map that leads frames from MACs located behind a guest port to its network's chain. Frames from other
// MACs take another way, on which the fabric learns where they are.
func (p plan) located() set {
	s := set{Set: nftables.Set{
		Table: bridgeTable(), Name: mapLocated, Comment: "the chain for frames from a MAC that is located behind the port",
		Concatenation: true, IsMap: true, DataType: nftables.TypeVerdict,
		KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeEtherAddr),
	}}
	for _, n := range p.Networks {
		for mac, l := range n.Locations {
			if !l.MACOnly && slices.Contains(n.Guests, l.Port) {
				s.elements = append(s.elements, element{key: senderKey(mac, l.Port), goTo: ofGuest + n.Name})
			}
		}
	}
	s.elements = sortUnique(s.elements)
	return s
}

// forwarding returns the elements that lead every port with an allow-list to the chain for its admitted frames.
func (p plan) forwarding() []element {
	var list []element
	for _, n := range p.Networks {
		if n.AllowList != datapath.Enforce {
			continue
		}
		next := network{n}.forwardedBy()
		for _, port := range n.Guests {
			list = append(list, element{key: portKey(port), goTo: next})
		}
	}
	return list
}

// delivery returns the elements that lead every port with an allow-list to a chain of its network.
func (p plan) delivery(of string) []element {
	var list []element
	for _, n := range p.Networks {
		if n.AllowList != datapath.Enforce {
			continue
		}
		for _, port := range n.Guests {
			list = append(list, element{key: portKey(port), goTo: of + n.Name})
		}
	}
	return list
}

// unicast returns a set that nearly all admitted frames match, so that forward accepts them after one look-up.
func (p plan) unicast() set {
	s := set{Set: nftables.Set{
		Table: bridgeTable(), Name: setUnicast, Comment: "unicast IPv4 that the allow-list has admitted, by port", Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeEtherType, nftables.TypePktType),
	}}
	// Frames to MACs without a binding need more rules.
	isWhole := func(n datapath.Network) bool { return n.IsFull() && n.ARP == datapath.HandOver && !n.UnknownToUplinks }
	for _, port := range p.GuestsOf(isWhole) {
		s.elements = append(s.elements, element{key: portKey(port) + unicastIPv4})
	}
	s.elements = sortUnique(s.elements)
	return s
}

// sets returns the network's sets.
func (n network) sets() []set {
	var list []set
	if n.RateLimit != 0 {
		list = append(list, limits(ofRate+n.Name, "limit of ARP, by port"))
	}
	if n.AllowList == datapath.AllowAll {
		return list
	}
	name, mac, ip := nftables.TypeIFName, nftables.TypeEtherAddr, nftables.TypeIPAddr
	list = append(list, n.hostSet(), n.routerSet())
	for _, s := range []struct {
		of, comment string
		interval    bool
		key         []nftables.SetDatatype
	}{
		{ofMACs, "registered MACs", false, []nftables.SetDatatype{mac}},
		{ofPortMACs, "registered MACs, each with its port", false, []nftables.SetDatatype{name, mac}},
		{ofBoundMACs, "the MACs that are registered with a port", false, []nftables.SetDatatype{mac}},
		{ofBoundBindings, "bindings that name a port: MAC and address", false, []nftables.SetDatatype{mac, ip}},
		{ofBoundRanges, "bindings that name a port: MAC and range of addresses", true, []nftables.SetDatatype{mac, ip}},
		{ofBindings, "bindings: MAC and address", false, []nftables.SetDatatype{mac, ip}},
		{ofRanges, "bindings: MAC and range of addresses", true, []nftables.SetDatatype{mac, ip}},
		{ofPortBindings, "bindings: port, MAC and address", false, []nftables.SetDatatype{name, mac, ip}},
		{ofPortRanges, "bindings: port, MAC and range of addresses", true, []nftables.SetDatatype{name, mac, ip}},
		{ofRoutes, "routes: MAC of the router and range of addresses", true, []nftables.SetDatatype{mac, ip}},
		{ofRoutesTo, "routes: MAC of the router and range of addresses, on any port", true, []nftables.SetDatatype{mac, ip}},
		{ofPortRoutes, "routes: port, MAC of the router and range of addresses", true, []nftables.SetDatatype{name, mac, ip}},
	} {
		key := nftables.MustConcatSetType(s.key...)
		if len(s.key) == 1 {
			key = s.key[0]
		}
		list = append(list, set{fromRegistry: true, Set: nftables.Set{
			Table: bridgeTable(), Name: s.of + n.Name, Comment: s.comment,
			KeyType: key, Concatenation: len(s.key) > 1, Interval: s.interval,
		}})
	}
	return list
}

func (n network) hostSet() set { return macSet(ofHost+n.Name, "the host's MACs", n.Host) }

// routerSet returns the set of the MACs that receive IPv4 for any address, to forward it.
func (n network) routerSet() set {
	routers := n.Host
	if n.Gateway != (registry.MAC{}) {
		routers = append(slices.Clone(routers), n.Gateway)
	}
	return macSet(ofRouters+n.Name, "the MACs of the host and the gateway", routers)
}

func macSet(name, comment string, macs []registry.MAC) set {
	s := set{Set: nftables.Set{Table: bridgeTable(), Name: name, Comment: comment, KeyType: nftables.TypeEtherAddr}}
	for _, mac := range macs {
		s.elements = append(s.elements, element{key: string(mac[:])})
	}
	s.elements = sortUnique(s.elements)
	return s
}

func nameSet(name, comment string, interfaces []string) set {
	var elements []element
	for _, i := range interfaces {
		elements = append(elements, element{key: portKey(i)})
	}
	return set{Set: byPort(name, comment), elements: sortUnique(elements)}
}

func portMap(name, comment string, elements []element) set {
	s := byPort(name, comment)
	s.IsMap, s.DataType = true, nftables.TypeVerdict
	return set{Set: s, elements: sortUnique(elements)}
}

// forgetAfter is how long a port without refused frames keeps its counters.
const forgetAfter = 24 * time.Hour

// maxPorts is the size of a dynamic set, in ports. No bridge has more.
const maxPorts = 1 << 16

func counters(name, comment string) set {
	s := byPort(name, comment)
	s.Dynamic, s.HasTimeout, s.Timeout, s.Size = true, true, forgetAfter, maxPorts
	return set{Set: s}
}

func limits(name, comment string) set {
	s := counters(name, comment)
	s.Timeout = time.Minute // more than enough: after a second without frames, a limit has its full burst again
	return s
}

func byPort(name, comment string) nftables.Set {
	return nftables.Set{
		Table: bridgeTable(), Name: name, Comment: comment,
		KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian,
	}
}

func tags() set {
	s := set{Set: nftables.Set{Table: bridgeTable(), Name: setTags, Comment: "EtherTypes of VLAN tags", KeyType: nftables.TypeEtherType}}
	for _, t := range []uint16{unix.ETH_P_8021Q, unix.ETH_P_8021AD, etherTypeQinQ} {
		s.elements = append(s.elements, element{key: string(be16(t))})
	}
	s.elements = sortUnique(s.elements)
	return s
}

func equalHalves() set {
	s := set{Set: nftables.Set{
		Table: bridgeTable(), Name: setEqual, Comment: "pairs of equal half bytes, to compare fields", Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeMark, nftables.TypeMark),
	}}
	for half := range byte(16) {
		for _, b := range []byte{half, half << 4} {
			padded := string([]byte{b, 0, 0, 0})
			s.elements = append(s.elements, element{key: padded + padded})
		}
	}
	s.elements = sortUnique(s.elements)
	return s
}

// etherTypeQinQ is the EtherType of the outer VLAN tag on switches older than IEEE 802.1ad.
const etherTypeQinQ = 0x9100

// portKey returns the name of a port or bridge as the kernel compares it: padded with zeros to IFNAMSIZ.
func portKey(port string) string {
	var key [unix.IFNAMSIZ]byte
	copy(key[:], port)
	return string(key[:])
}

func sortUnique(elements []element) []element {
	slices.SortFunc(elements, element.compare)
	return slices.CompactFunc(elements, func(a, b element) bool { return a.key == b.key && a.last == b.last })
}

func (e element) compare(other element) int {
	return cmp.Or(cmp.Compare(e.key, other.key), cmp.Compare(e.last, other.last), cmp.Compare(e.goTo, other.goTo))
}
