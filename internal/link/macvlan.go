package link

import "github.com/vishvananda/netlink"

// Macvlans returns the macvlan and macvtap interfaces on top of another interface. Those that are in another network
// namespace are unknown here.
func (s Snapshot) Macvlans(lower Link) []Link {
	var macvlans []Link
	for _, l := range s.byIndex {
		if l.lower == lower.Index && lower.Index != 0 {
			macvlans = append(macvlans, l)
		}
	}
	return macvlans
}

// lowerOf returns the ifindex of the interface below a macvlan or macvtap. It returns 0 for other interfaces, and if the
// lower interface is in another network namespace, because its ifindex means another interface here.
func lowerOf(l netlink.Link) int {
	switch l.(type) {
	case *netlink.Macvlan, *netlink.Macvtap:
		if a := l.Attrs(); a.NetNsID < 0 {
			return a.ParentIndex
		}
	}
	return 0
}
