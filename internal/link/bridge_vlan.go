package link

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// FiltersVLANs reports whether there is a bridge of that name that filters VLANs (vlan_filtering in ip-link(8)).
func (s Snapshot) FiltersVLANs(bridge string) bool { return s.byName[bridge].filtersVLANs }

// HostIn returns the interface by which the host itself is in a VLAN of a bridge: the bridge if its untagged frames
// belong to that VLAN, or else a VLAN device on top of it.
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

// tags says how a VLAN device tags the frames that it sends by its parent. It is zero for other interfaces.
type tags struct {
	parent int // ifindex
	vlan   uint16
}

// tagsOf returns the tags of an interface. It returns zero also for a VLAN device whose parent is in another network
// namespace, because the ifindex of the parent means another interface here, and for one with 802.1ad tags, because a
// bridge filters by 802.1Q tags.
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

// untaggedVLANs returns, by ifindex, the VLAN of untagged frames of each bridge and each member. It leaves out those
// that receive this VLAN's frames tagged.
func untaggedVLANs() (map[int]uint16, error) {
	lists, err := netlink.BridgeVlanList()
	for errors.Is(err, netlink.ErrDumpInterrupted) { // a VLAN changed during the dump
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
