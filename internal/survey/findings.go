package survey

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// findings collects who uses which address.
type findings struct {
	members
	byAddress map[netip.Addr][]finding
}

// A finding is that a MAC uses an address.
type finding struct {
	mac    registry.MAC
	name   string
	from   []string
	isHost bool // it is the host's own
}

func (f *findings) add(addr netip.Addr, found finding) {
	f.byAddress[addr] = append(f.byAddress[addr], found)
}

func (f *findings) hasAddress(mac registry.MAC) bool {
	for _, list := range f.byAddress {
		if slices.ContainsFunc(list, func(found finding) bool { return found.mac == mac }) {
			return true
		}
	}
	return false
}

// groupByMAC merges the findings about an address that agree.
func groupByMAC(all []finding) []finding {
	var groups []finding
	for _, found := range all {
		at := slices.IndexFunc(groups, func(g finding) bool { return g.mac == found.mac })
		if at < 0 {
			groups = append(groups, found)
			continue
		}
		groups[at].from = append(groups[at].from, found.from...)
		if groups[at].name == "" {
			groups[at].name = found.name
		}
	}
	return groups
}

func doubtAbout(addr netip.Addr, byMAC []finding) doubt {
	d := doubt{addr: addr}
	for _, found := range byMAC {
		for _, from := range found.from {
			d.from = append(d.from, fmt.Sprintf("%s (%s)", found.mac, from))
		}
	}
	return d
}

// madeUp matches names of ports that libvirt, Docker and the kernel make up each time that a guest starts. A binding to
// such a port would cut the guest off at its next start.
var madeUp = regexp.MustCompile(`^(vnet\d+|tap\d+|veth[0-9a-f]{6,})$`)

// hostOf returns the binding of an address, and where it is from. It has the port if that is known and keeps its name.
func (f *findings) hostOf(addr netip.Addr, found finding) host {
	h := host{
		Binding: registry.Binding{First: addr, Last: addr, MAC: found.mac, Name: found.name},
		from:    found.from,
	}
	at, ok := f.behind[found.mac]
	if !ok {
		return h
	}
	h.from = append(h.from, "behind "+at.Name)
	isSure := !at.LeadsOutside() || len(f.uplinks) == 1
	if isSure && plain.MatchString(at.Name) && !madeUp.MatchString(at.Name) {
		h.Port = at.Name
	}
	return h
}

// addRoutes lets the host's router forward packets if it is a guest.
func (f *findings) addRoutes(s *Survey) {
	for i := range s.hosts {
		h := &s.hosts[i]
		if at, ok := f.behind[h.MAC]; h.First == s.gateway && ok && !at.LeadsOutside() {
			h.Routes = registry.PrefixesOf(netip.PrefixFrom(netip.IPv4Unspecified(), 0))
		}
	}
}

// members are the ports of a bridge, and what is behind them.
type members struct {
	uplinks []link.Link
	behind  map[registry.MAC]link.Link
}

// readMembers reads the forwarding database.
func readMembers(o Options, s link.Snapshot) (members, error) {
	m := members{behind: map[registry.MAC]link.Link{}}
	byIndex := map[int]link.Link{}
	for _, l := range s.Members(o.Bridge) {
		switch {
		case l.LeadsOutside():
			m.uplinks = append(m.uplinks, l)
		case o.VLAN != 0 && l.VLAN != o.VLAN:
			continue
		}
		byIndex[l.Index] = l
	}
	entries, err := link.ReadFDB()
	for _, e := range entries {
		port, ok := byIndex[e.Port]
		if ok && !e.IsLocal && registry.MAC(e.MAC).IsUnicast() && (o.VLAN == 0 || e.VLAN == o.VLAN) {
			m.behind[registry.MAC(e.MAC)] = port
		}
	}
	return m, err
}
