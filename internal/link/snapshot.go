package link

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link is one interface.
type Link struct {
	Name     string
	Index    int // ifindex
	MAC      net.HardwareAddr
	IsUp     bool
	VLAN     uint16 // of its untagged frames, for a bridge that filters VLANs and its members; 0 where there is none
	master   int    // ifindex of the bridge (or bond, ...) that it is a member of, or 0
	isBridge bool
	tags     tags

	filtersVLANs bool
}

// Snapshot is all interfaces of the network namespace as they were at one moment.
type Snapshot struct {
	byName  map[string]Link
	byIndex map[int]Link
}

// Take reads all interfaces.
func Take() (Snapshot, error) {
	links, err := netlink.LinkList()
	for errors.Is(err, netlink.ErrDumpInterrupted) { // something changed meanwhile
		links, err = netlink.LinkList()
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("listing interfaces over netlink: %w", err)
	}
	s := Snapshot{byName: make(map[string]Link, len(links)), byIndex: make(map[int]Link, len(links))}
	for _, l := range links {
		a := l.Attrs()
		link := Link{
			Name:     a.Name,
			Index:    a.Index,
			MAC:      a.HardwareAddr,
			IsUp:     a.Flags&net.FlagUp != 0,
			master:   a.MasterIndex,
			isBridge: l.Type() == "bridge",
			tags:     tagsOf(l),

			filtersVLANs: filtersVLANs(l),
		}
		s.byName[link.Name], s.byIndex[link.Index] = link, link
	}
	return s, s.readVLANs()
}

// readVLANs asks for VLANs only where a bridge filters them.
func (s Snapshot) readVLANs() error {
	isFiltered := false
	for _, l := range s.byIndex {
		isFiltered = isFiltered || l.filtersVLANs
	}
	if !isFiltered {
		return nil
	}
	vlans, err := untaggedVLANs()
	if err != nil {
		return err
	}
	for index, l := range s.byIndex {
		if l.filtersVLANs || s.byIndex[l.master].filtersVLANs {
			l.VLAN = vlans[index]
			s.byName[l.Name], s.byIndex[index] = l, l
		}
	}
	return nil
}

// Find returns the interface of that name.
func (s Snapshot) Find(name string) (Link, bool) {
	l, ok := s.byName[name]
	return l, ok
}

// IsBridge reports whether there is a bridge of that name.
func (s Snapshot) IsBridge(name string) bool { return s.byName[name].isBridge }

// Members returns the members of a bridge by name; none where there is no such bridge.
func (s Snapshot) Members(bridge string) []Link {
	b, ok := s.byName[bridge]
	if !ok || !b.isBridge {
		return nil
	}
	var members []Link
	for _, l := range s.byIndex {
		if l.master == b.Index {
			members = append(members, l)
		}
	}
	slices.SortFunc(members, func(x, y Link) int { return cmp.Compare(x.Name, y.Name) })
	return members
}

// MasterOf returns the name of the bridge, or other master, that the interface is a member of, or "".
func (s Snapshot) MasterOf(name string) string {
	return s.byIndex[s.byName[name].master].Name
}

// Addresses returns the IPv4 addresses of an interface.
func Addresses(l Link) ([]netip.Addr, error) {
	list, err := netlink.AddrList(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: l.Index}}, unix.AF_INET)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("listing the addresses of %s over netlink: %w", l.Name, err)
	}
	var addrs []netip.Addr
	for _, a := range list {
		if addr, ok := netip.AddrFromSlice(a.IP.To4()); ok {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}
