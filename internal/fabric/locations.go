package fabric

import (
	"maps"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// locations has the ports behind which registered MACs are. It is never changed, only replaced. The loop replaces it, and
// the servers read it.
//
// On a bridge with the full guard, the fabric knows this instead of the bridge, which would forget a guest that is silent
// and then send the frames for it to all guests.
type locations map[registry.MAC]location

// A location is the port behind which a MAC is.
type location struct {
	datapath.Location
	index int // ifindex of the port
	since time.Time
	from  Evidence

	host      string // the other host that the MAC is behind; only with FromHost
	overrules uint64 // see Located
}

// Evidence says how the fabric knows a location.
type Evidence string

// The kinds of evidence.
const (
	FromBinding Evidence = "binding" // the MAC's bindings name the port
	FromARP     Evidence = "arp"
	FromRARP    Evidence = "rarp"
	FromIPv4    Evidence = "ipv4"
	FromDHCP    Evidence = "dhcp"   // of which only the MAC is known
	FromIPv6    Evidence = "ipv6"   // the same
	FromBridge  Evidence = "bridge" // found in the bridge's forwarding database
	FromHost    Evidence = "host"   // another host says that it is there
)

// A MAC that moves more often stays where it is for the rest of the period: two guests may have it.
const (
	mostMoves   = 4
	movesPeriod = 10 * time.Second
)

// More announcements of a MAC do not leave by uplinks.
const (
	mostRelays   = 10
	relaysPeriod = time.Second
)

// hasLocations reports whether the fabric knows where the network's guests are.
func (n *network) hasLocations() bool {
	c := n.config()
	return c.Mode == config.VPC && c.Guard == config.GuardFull && c.Attach.SeesPorts()
}

// locationPorts returns the guest ports and uplinks of a network that has locations, by ifindex.
func (t *ports) locationPorts(n *network) map[int]*port {
	list := map[int]*port{}
	for _, p := range t.all() {
		if p.network == n && p.locates {
			list[p.link.Index] = p
		}
	}
	return list
}

// locationPort returns the port that p is now, or nil if it is gone.
func (t *ports) locationPort(p *port) *port {
	if now := t.byIndex[p.link.Index]; now.isSame(p) {
		return now
	}
	for _, now := range t.uplinks {
		if now.isSame(p) {
			return now
		}
	}
	return nil
}

// updateLocations brings the locations in line with the network's ports and its registry. The first time, it takes over
// what the bridge knows.
func (n *network) updateLocations(t *ports, s link.Snapshot) error {
	before := n.locations.Load()
	if !n.hasLocations() {
		n.locations.Store(nil)
		return nil
	}
	known, next := t.locationPorts(n), locations{}
	if before != nil {
		for mac, at := range *before {
			switch at.from {
			case FromHost:
				continue // unless addRemotes says it again
			case FromBinding:
				at.from = FromBridge // unless addFixed says it again: the guest stays where it was
			}
			n.keep(next, known, mac, at)
		}
		n.returnFromAway(next, known, s)
	}
	n.addFixed(next, before, known)
	if before == nil {
		entries, err := trustedFDB(known)
		if err != nil {
			return err
		}
		next.find(n, known, entries)
	}
	n.addRemotes(next, before, known)
	n.locations.Store(&next)
	return nil
}

// keep adds a location that is still right. A location behind a guest port that has left the bridge is set aside.
func (n *network) keep(next locations, known map[int]*port, mac registry.MAC, at location) {
	switch p := known[at.index]; {
	case p == nil:
		n.away[mac] = at
	case p.in.Kind == responder.Uplink && !p.link.Runs: // the hosts there may be behind another uplink now, as a bridge assumes
	case n.config().Registry.MaySend(mac, p.link.Name):
		next[mac] = p.location(mac, at)
	}
}

// returnFromAway adds the locations of MACs whose ports have come back to the bridge, and which were not seen elsewhere in the
// meantime. A guest does not notice that its port was away, and need not send anything.
func (n *network) returnFromAway(next locations, known map[int]*port, s link.Snapshot) {
	for mac, at := range n.away {
		_, isElsewhere := next[mac]
		_, exists := s.FindIndex(at.index)
		p := known[at.index]
		if p == nil && exists && !isElsewhere {
			continue
		}
		delete(n.away, mac)
		if p != nil && !isElsewhere {
			n.keep(next, known, mac, at)
		}
	}
}

// trustedFDB returns the entries of FDBs that may be taken over. If an earlier fabric has guarded the ports, the bridge has
// not learned from these: what it has learned by itself on a guest port is from one that joined later, without a check.
func trustedFDB(ports map[int]*port) ([]link.FDBEntry, error) {
	entries, err := link.ReadFDB()
	if err != nil {
		return nil, err
	}
	settings, err := link.ReadMemberSettings()
	if err != nil {
		return nil, err
	}
	wasGuarded := false
	for index, p := range ports {
		now, isMember := settings[index]
		wasGuarded = wasGuarded || p.in.Kind == responder.GuestPort && isMember && !now.Learns
	}
	return slices.DeleteFunc(entries, func(e link.FDBEntry) bool {
		p := ports[e.Port]
		return wasGuarded && p != nil && p.in.Kind == responder.GuestPort && !e.IsExternal && !e.IsStatic
	}), nil
}

// location returns at, the location of a MAC behind p, with the port's present name and VLAN.
func (p *port) location(mac registry.MAC, at location) location {
	at.index, at.Port = p.link.Index, p.link.Name
	at.Fixed = isTied(p.network.config().Registry, mac)
	if p.in.Kind != responder.Uplink {
		at.VLAN = p.link.VLAN
	}
	return at
}

// addFixed adds the locations of the MACs whose bindings name one port.
func (n *network) addFixed(next locations, before *locations, known map[int]*port) {
	r := n.config().Registry
	if !r.NamesPorts() {
		return
	}
	byName := map[string]*port{}
	for _, p := range known {
		byName[p.link.Name] = p
	}
	for mac := range r.MACs() {
		p := byName[onlyPort(r, mac)]
		if p == nil {
			continue
		}
		at := p.location(mac, location{since: time.Now(), from: FromBinding})
		if p.in.Kind == responder.Uplink {
			at.VLAN = n.config().Attach.VLAN
		}
		if before != nil {
			if was, ok := (*before)[mac]; ok && was.from == FromBinding && was.index == at.index {
				at.since = was.since
			}
		}
		next[mac] = at
	}
}

// isTied reports whether any binding of a MAC names a port.
func isTied(r *registry.Registry, mac registry.MAC) bool {
	for name := range r.PortsOf(mac) {
		if name != "" {
			return true
		}
	}
	return false
}

// onlyPort returns the port that a MAC's bindings name, or "" if they name none or several.
func onlyPort(r *registry.Registry, mac registry.MAC) (only string) {
	for name := range r.PortsOf(mac) {
		if name != "" && only != "" {
			return ""
		}
		only = max(only, name)
	}
	return only
}

// find adds the MACs without a location that the bridge has behind a port where they may be. It moves the MACs that the
// bridge has found behind an uplink: it learns there, and the fabric does not see all frames from there. It reports whether
// it has changed anything.
func (l locations) find(n *network, known map[int]*port, entries []link.FDBEntry) (changed bool) {
	r := n.config().Registry
	for _, e := range entries {
		mac, p := registry.MAC(e.MAC), known[e.Port]
		if e.IsLocal || p == nil || p.isOverlay() || !p.hasVLAN(e.VLAN) || !r.MaySend(mac, p.link.Name) {
			continue
		}
		at, located := l[mac]
		if located && (at.from == FromBinding || at.index == p.link.Index || p.in.Kind != responder.Uplink) {
			continue
		}
		at = p.location(mac, location{Location: datapath.Location{VLAN: e.VLAN}, since: time.Now(), from: FromBridge})
		l[mac] = at
		changed = true
	}
	return changed
}

// hasVLAN reports whether a VLAN of the port's bridge belongs to the port's network.
func (p *port) hasVLAN(vlan uint16) bool {
	if p.in.Kind == responder.Uplink {
		own := p.network.config().Attach.VLAN
		return own == 0 || vlan == own
	}
	return vlan == p.link.VLAN
}

// areIn reports whether the FDB has an entry for each location.
func (l locations) areIn(entries []link.FDBEntry) bool {
	missing := maps.Clone(l)
	for _, e := range entries {
		mac := registry.MAC(e.MAC)
		if at, ok := missing[mac]; ok && at.index == e.Port && at.VLAN == e.VLAN && at.isLasting(e) {
			delete(missing, mac)
		}
	}
	return len(missing) == 0
}

// isLasting reports whether an entry for the location does not age, and moves as the location may. A static entry of the
// administrator's stays as it is.
func (at location) isLasting(e link.FDBEntry) bool {
	return e.IsStatic && !e.IsExternal && !at.Fixed || (e.IsExternal || e.IsStatic) && e.IsSticky == at.Fixed
}

// checkLocations takes over what bridges have learned behind uplinks. It reports whether the FDB has all locations; if not,
// or if some have changed, the next reconciliation writes them.
func (f *Fabric) checkLocations() (intact bool) {
	if !f.hasAnyLocations() {
		return true
	}
	entries, err := link.ReadFDB()
	if err != nil {
		f.log.Error("cannot check where guests are", "error", err)
		return true
	}
	behindUplinks := slices.DeleteFunc(slices.Clone(entries), func(e link.FDBEntry) bool {
		return !f.ports.Load().isUplink(e.Port)
	})
	intact = true
	for _, n := range f.networks {
		now := n.locations.Load()
		if now == nil {
			continue
		}
		next := maps.Clone(*now)
		if next.find(n, f.ports.Load().locationPorts(n), behindUplinks) {
			n.locations.Store(&next)
			intact = false
		}
		intact = intact && next.areIn(entries)
	}
	return intact
}

func (f *Fabric) hasAnyLocations() bool {
	for _, n := range f.networks {
		if n.locations.Load() != nil {
			return true
		}
	}
	return false
}

// planned returns the locations for the datapath's plan.
func (n *network) planned() map[registry.MAC]datapath.Location {
	now := n.locations.Load()
	if now == nil {
		return nil
	}
	planned := make(map[registry.MAC]datapath.Location, len(*now))
	for mac, at := range *now {
		planned[mac] = at.Location
	}
	return planned
}

// isAboutLocations reports whether a notification of the kernel may concern locations: the bridge has found a registered MAC at another
// port, or an entry that the fabric has written is gone or changed.
func (f *Fabric) isAboutLocations(isDeleted bool, message []byte) bool {
	e, ok := link.ParseFDBEntry(message)
	if !ok || e.IsLocal {
		return false
	}
	mac := registry.MAC(e.MAC)
	for _, n := range *f.running.Load() {
		now := n.locations.Load()
		if now == nil {
			continue
		}
		at, located := (*now)[mac]
		isSame := located && at.index == e.Port && at.VLAN == e.VLAN
		switch {
		case isSame && (isDeleted || !at.isLasting(e)):
			return true
		case !isSame && !isDeleted && n.config().Registry.IsRegistered(mac):
			return true
		}
	}
	return false
}
