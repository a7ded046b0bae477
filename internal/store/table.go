package store

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// A Table has the allocations and the held addresses of all networks.
type Table struct {
	revision uint64 // of the last change
	networks map[string]*networkTable
	expiries expiries
}

type networkTable struct {
	name    string
	entries entries
	names   map[string]registry.IPv4
	held    map[registry.IPv4]Held
	queue   []freed // the held addresses, those freed first at the beginning; some are not held any more
	macs    macCounts
}

// An entry is an allocation without its network. It is small, because there may be millions.
type entry struct {
	ip         registry.IPv4
	mac        registry.MAC
	name, port string
	expires    int64 // Unix time; 0 for never
	revision   uint64
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{networks: map[string]*networkTable{}} }

// network returns the table of a network, and makes it if it is not there.
func (t *Table) network(name string) *networkTable {
	n := t.networks[name]
	if n == nil {
		n = newNetworkTable(name, 0, 0)
		t.networks[n.name] = n
	}
	return n
}

// newNetworkTable returns a table with room for allocations, some of them with a name.
func newNetworkTable(name string, allocations, names int) *networkTable {
	return &networkTable{
		name:    strings.Clone(name),
		entries: newEntries(allocations),
		macs:    macCounts{make([]uint64, 0, allocations), map[registry.MAC]int32{}},
		names:   make(map[string]registry.IPv4, names), held: map[registry.IPv4]Held{},
	}
}

// Get returns the allocation of an address, which must be IPv4.
func (t *Table) Get(network string, addr netip.Addr) (Allocation, bool) {
	n := t.networks[network]
	if n == nil {
		return Allocation{}, false
	}
	e, ok := n.entries.get(registry.IPv4Of(addr))
	return e.allocation(network), ok
}

// Named returns the allocation with a name.
func (t *Table) Named(network, name string) (Allocation, bool) {
	n := t.networks[network]
	if n == nil {
		return Allocation{}, false
	}
	ip, ok := n.names[name]
	if !ok {
		return Allocation{}, false
	}
	e, ok := n.entries.get(ip)
	return e.allocation(network), ok
}

// Held returns how an address is held, which was freed since; false if it is not.
func (t *Table) Held(network string, addr netip.Addr) (Held, bool) {
	n := t.networks[network]
	if n == nil {
		return Held{}, false
	}
	h, ok := n.held[registry.IPv4Of(addr)]
	return h, ok
}

// HasMAC reports whether an allocation or a held address has a MAC.
func (t *Table) HasMAC(network string, mac registry.MAC) bool {
	n := t.networks[network]
	return n != nil && n.macs.has(mac)
}

// ForgetHeld forgets the addresses of a network that are held since a time or longer.
func (t *Table) ForgetHeld(network string, since time.Time) {
	n := t.networks[network]
	if n == nil {
		return
	}
	for len(n.queue) > 0 && !n.queue[0].at.After(since) {
		if first := n.queue[0]; n.held[first.ip].Since.Equal(first.at) {
			n.release(first.ip)
		}
		n.queue = n.queue[1:]
	}
}

// A freed is an address with the time at which it was freed.
type freed struct {
	ip registry.IPv4
	at time.Time
}

// sort sorts what was read in another order: the queues of held addresses by their times, and the MACs.
func (t *Table) sort() {
	for _, n := range t.networks {
		n.macs.sort()
		slices.SortFunc(n.queue, func(a, b freed) int { return a.at.Compare(b.at) })
	}
}

// The methods below change one address.

func (n *networkTable) put(e entry) {
	n.remove(e.ip)
	n.add(e)
	n.macs.change(e.mac, 1)
}

// load adds an allocation of an address that is not allocated. Sort the table in the end.
func (n *networkTable) load(e entry) {
	n.add(e)
	n.macs.load(e.mac)
}

func (n *networkTable) add(e entry) {
	n.release(e.ip)
	if e.name != "" {
		n.names[e.name] = e.ip
	}
	n.entries.add(e)
}

func (n *networkTable) remove(ip registry.IPv4) {
	e, ok := n.entries.get(ip)
	if !ok {
		return
	}
	if n.names[e.name] == ip {
		delete(n.names, e.name)
	}
	n.entries.remove(ip)
	n.macs.change(e.mac, -1)
}

func (n *networkTable) hold(ip registry.IPv4, h Held) {
	n.release(ip)
	n.queue = append(n.queue, freed{ip, h.Since})
	n.held[ip] = h
	n.macs.change(h.MAC, 1)
}

func (n *networkTable) release(ip registry.IPv4) {
	if h, ok := n.held[ip]; ok {
		delete(n.held, ip)
		n.macs.change(h.MAC, -1)
	}
}

// Networks returns the names of the networks that have allocations, sorted.
func (t *Table) Networks() []string {
	var names []string
	for name, n := range t.networks {
		if n.entries.count > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Revision returns the revision of the last change.
func (t *Table) Revision() uint64 { return t.revision }

// AllHeld yields the held addresses of all networks, sorted, as changes that free them.
func (t *Table) AllHeld() iter.Seq[Change] {
	return func(yield func(Change) bool) {
		for _, name := range slices.Sorted(maps.Keys(t.networks)) {
			n := t.networks[name]
			for _, ip := range slices.Sorted(maps.Keys(n.held)) {
				h := n.held[ip]
				free := Change{Kind: Free, Allocation: Allocation{Network: name, Address: ip.Addr(), MAC: h.MAC}, At: h.Since}
				if !yield(free) {
					return
				}
			}
		}
	}
}

// Len returns the number of allocations of a network.
func (t *Table) Len(network string) int {
	n := t.networks[network]
	if n == nil {
		return 0
	}
	return n.entries.count
}

// All yields the allocations of a network by address.
func (t *Table) All(network string) iter.Seq[Allocation] {
	return func(yield func(Allocation) bool) {
		n := t.networks[network]
		if n == nil {
			return
		}
		for e := range n.entries.all() {
			if !yield(e.allocation(network)) {
				return
			}
		}
	}
}

// Apply applies a change that is durable. Only a [Store] changes its table.
func (t *Table) Apply(c Change) {
	t.revision = max(t.revision, c.Revision)
	switch c.Kind {
	case Free, Expire:
		n, ip := t.network(c.Network), registry.IPv4Of(c.Address)
		n.remove(ip)
		n.hold(ip, Held{c.MAC, c.At})
	default:
		t.set(c.Allocation)
	}
}

// Delete forgets an address, also that it is held.
func (t *Table) Delete(network string, addr netip.Addr) {
	if n := t.networks[network]; n != nil {
		n.remove(registry.IPv4Of(addr))
		n.release(registry.IPv4Of(addr))
	}
}

func (t *Table) set(a Allocation) {
	n := t.network(a.Network)
	a.Network = n.name // for the expiry
	n.put(entryOf(a))
	t.expiries.add(t, a)
}

// load adds an allocation of an address that is not allocated. Call sort in the end.
func (t *Table) load(a Allocation) {
	n := t.network(a.Network)
	a.Network = n.name
	n.load(entryOf(a))
	t.expiries.add(t, a)
}

func entryOf(a Allocation) entry {
	e := entry{ip: registry.IPv4Of(a.Address), mac: a.MAC, name: a.Name, port: a.Port, revision: a.Revision}
	if !a.Expires.IsZero() {
		e.expires = a.Expires.Unix()
	}
	return e
}

func (e entry) allocation(network string) Allocation {
	a := Allocation{
		Network: network, Address: e.ip.Addr(), MAC: e.mac, Name: e.name, Port: e.port, Revision: e.revision,
	}
	if e.expires != 0 {
		a.Expires = time.Unix(e.expires, 0).UTC()
	}
	return a
}
