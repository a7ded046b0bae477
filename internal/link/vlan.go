package link

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// FiltersVLANs reports whether there is a bridge of that name that keeps VLANs apart (vlan_filtering in
// ip-link(8)).
func (s Snapshot) FiltersVLANs(bridge string) bool { return s.byName[bridge].filtersVLANs }

// HostIn returns the interface with which the host itself is in a VLAN of a bridge: the bridge, where its own
// untagged frames are in that VLAN, or else a VLAN device on top of it.
func (s Snapshot) HostIn(bridge string, vlan uint16) (Link, bool) {
	b := s.byName[bridge]
	if !b.filtersVLANs {
		return Link{}, false
	}
	if b.VLAN == vlan {
		return b, true
	}
	for _, l := range s.byIndex {
		if l.tags == (tags{b.Index, vlan}) {
			return l, true
		}
	}
	return Link{}, false
}

// tags is what a VLAN device does: it tags what it sends by another interface. It is zero for other interfaces.
type tags struct {
	parent int // ifindex
	vlan   uint16
}

// tagsOf returns zero also for a device whose parent is in another network namespace, where its ifindex means
// another interface, and for one with tags of 802.1ad, which are not those of the bridge.
func tagsOf(l netlink.Link) tags {
	if v, ok := l.(*netlink.Vlan); ok && v.NetNsID < 0 && v.VlanProtocol != netlink.VLAN_PROTOCOL_8021AD {
		return tags{v.ParentIndex, uint16(v.VlanId)}
	}
	return tags{}
}

func filtersVLANs(l netlink.Link) bool {
	b, ok := l.(*netlink.Bridge)
	return ok && b.VlanFiltering != nil && *b.VlanFiltering
}

// untaggedVLANs reads, by ifindex, in which VLAN the untagged frames of the members of all bridges are, and of
// the bridges themselves. Those that don't get this VLAN's frames untagged as well are left out.
func untaggedVLANs() (map[int]uint16, error) {
	lists, err := netlink.BridgeVlanList()
	for errors.Is(err, netlink.ErrDumpInterrupted) { // something changed meanwhile
		lists, err = netlink.BridgeVlanList()
	}
	if err != nil {
		return nil, fmt.Errorf("listing the VLANs of bridges over netlink: %w", err)
	}
	vlans := map[int]uint16{}
	for index, list := range lists {
		for _, v := range list {
			if v.PortVID() && v.EngressUntag() {
				vlans[int(index)] = v.Vid
			}
		}
	}
	return vlans, nil
}
