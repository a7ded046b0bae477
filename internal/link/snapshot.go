package link

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link is one interface.
type Link struct {
	Name   string
	Index  int // ifindex
	MAC    net.HardwareAddr
	MTU    int // in bytes, without the Ethernet header
	IsUp   bool
	Runs   bool   // it is up, and has a carrier
	VLAN   uint16 // VLAN of its untagged frames, if it is a bridge that filters VLANs or a member of one; else 0
	master int    // ifindex of the bridge (or bond, ...) that it is a member of, or 0
	lower  int    // ifindex of the interface below a macvlan, or 0
	kind   string // in the words of ip-link(8): veth, tun, vxlan, ...; "device" for a network card
	tags   tags

	filtersVLANs bool
}

func (l Link) isBridge() bool { return l.kind == "bridge" }

// Kind returns the kind of an interface in the words of ip-link(8): bond, veth, vxlan, ..., or "device" for a network card.
func (l Link) Kind() string { return l.kind }

// LeadsOutside reports whether an interface is of a kind that usually leads to another network: a network card, a bond, a
// VXLAN device, ... Virtual machines and containers are behind TAPs and veth pairs.
func (l Link) LeadsOutside() bool { return l.kind != "tuntap" && l.kind != "veth" }

// Snapshot has all interfaces of the network namespace as they were at one moment.
type Snapshot struct {
	byName  map[string]Link
	byIndex map[int]Link
}

// ReadSnapshot reads all interfaces.
func ReadSnapshot() (Snapshot, error) {
	links, err := netlink.LinkList()
	for errors.Is(err, netlink.ErrDumpInterrupted) { // an interface changed during the dump
		links, err = netlink.LinkList()
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("listing interfaces over netlink: %w", err)
	}
	s := Snapshot{byName: make(map[string]Link, len(links)), byIndex: make(map[int]Link, len(links))}
	for _, l := range links {
		a := l.Attrs()
		link := Link{
			Name:   a.Name,
			Index:  a.Index,
			MAC:    a.HardwareAddr,
			MTU:    a.MTU,
			IsUp:   a.Flags&net.FlagUp != 0,
			Runs:   a.RawFlags&unix.IFF_RUNNING != 0,
			master: a.MasterIndex,
			lower:  lowerOf(l),
			kind:   l.Type(),
			tags:   tagsOf(l),

			filtersVLANs: filtersVLANs(l),
		}
		s.byName[link.Name], s.byIndex[link.Index] = link, link
	}
	return s, s.readVLANs()
}

// readVLANs sets the VLAN of the interfaces. It asks the kernel only if some bridge filters VLANs.
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

// FindIndex returns the interface with an ifindex.
func (s Snapshot) FindIndex(index int) (Link, bool) {
	l, ok := s.byIndex[index]
	return l, ok
}

// IsBridge reports whether there is a bridge of that name.
func (s Snapshot) IsBridge(name string) bool { return s.byName[name].isBridge() }

// Bridges returns the names of all bridges, sorted.
func (s Snapshot) Bridges() []string {
	var names []string
	for name, l := range s.byName {
		if l.isBridge() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Members returns the members of a bridge, sorted by name. It returns none if there is no bridge of that name.
func (s Snapshot) Members(bridge string) []Link {
	b, ok := s.byName[bridge]
	if !ok || !b.isBridge() {
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

// MasterOf returns the name of the bridge, or other master, that an interface is a member of, or "".
func (s Snapshot) MasterOf(name string) string {
	return s.byIndex[s.byName[name].master].Name
}

// MACOf returns the MAC that an interface has now. That of a bridge changes when a member joins, until somebody sets it.
func MACOf(l Link) (net.HardwareAddr, error) {
	now, err := netlink.LinkByIndex(l.Index)
	if _, isGone := errors.AsType[netlink.LinkNotFoundError](err); isGone {
		return l.MAC, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the MAC of %s over netlink: %w", l.Name, err)
	}
	return now.Attrs().HardwareAddr, nil
}

// Addresses returns the IPv4 addresses of an interface.
func Addresses(l Link) ([]netip.Addr, error) {
	prefixes, err := Prefixes(l)
	var addrs []netip.Addr
	for _, p := range prefixes {
		addrs = append(addrs, p.Addr())
	}
	return addrs, err
}

// Prefixes returns the IPv4 addresses of an interface with the prefix lengths of their subnets.
func Prefixes(l Link) ([]netip.Prefix, error) {
	list, err := netlink.AddrList(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: l.Index}}, unix.AF_INET)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("listing the addresses of %s over netlink: %w", l.Name, err)
	}
	var prefixes []netip.Prefix
	for _, a := range list {
		if addr, ok := netip.AddrFromSlice(a.IP.To4()); ok {
			bits, _ := a.Mask.Size()
			prefixes = append(prefixes, netip.PrefixFrom(addr, bits))
		}
	}
	return prefixes, nil
}

// Forwards reports whether the host forwards IPv4 that it receives by an interface. It returns true if it cannot find out.
func Forwards(l Link) bool {
	text, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + l.Name + "/forwarding")
	return err != nil || !bytes.HasPrefix(text, []byte("0"))
}
