package fabric

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/link"
)

// elsewhere is an address that hosts reach by their default route. Nothing is sent to it.
var elsewhere = netip.MustParseAddr("1.1.1.1")

// checkDefaultRoute returns an error if the guard of the configuration c would cut the host off: its default route leads
// by a guest port of the bridge, and the registry does not have the next hop as a router. Such a port is usually a network
// card that has another name than the configuration says. It returns nil if it cannot find out: that is no reason to leave
// guests unguarded.
func (n *network) checkDefaultRoute(c *config.Network, s link.Snapshot) error {
	bridge, _ := s.Find(cmp.Or(n.bridge, c.Attach.Bridge))
	own, ok := hostInterface(c, bridge.Name, s)
	if !ok || !isGuarded(c) {
		return nil
	}
	hop, ok, err := link.NextHopTo(elsewhere)
	switch {
	case err != nil:
		return nil
	case !ok:
		return n.checkUplinks(c, bridge, s)
	case hop.Index != own.Index || isRouter(c, hop.Addr):
		return nil
	}
	port, ok := n.portTowards(c, hop, bridge, s)
	if !ok {
		return nil
	}
	through := ""
	if hop.Addr.IsValid() {
		through = " through " + hop.Addr.String()
	}
	return fmt.Errorf("the host's default route on %s%s leads by %s, a guest port, so the guard would cut the host off; "+
		"write %s under attach.uplinks, or, if a guest is the host's router, `routes: [0.0.0.0/0]` in its binding",
		own.Name, through, port.Name, port.Name)
}

// isRouter reports whether the next hop of the host's default route is a guest that may be that: ARP for it is answered,
// and its binding has routes, unless only ARP is guarded.
func isRouter(c *config.Network, hop netip.Addr) bool {
	b, bound := c.Registry.Lookup(hop)
	return bound && (c.Guard == config.GuardARP || !b.Routes.IsEmpty())
}

// portTowards returns the guest port by which the host's packets to a next hop leave. If the bridge does not know that, it
// is a member that usually leads outside, unless the network has an uplink.
func (n *network) portTowards(c *config.Network, hop link.NextHop, bridge link.Link, s link.Snapshot) (link.Link, bool) {
	if mac, ok, err := link.NeighborMAC(hop); err == nil && ok {
		if index, ok, err := link.PortOf(mac, bridge, c.Attach.VLAN); err == nil && ok {
			port, ok := s.FindIndex(index)
			return port, ok && s.MasterOf(port.Name) == bridge.Name && n.isGuestPort(c, port, s)
		}
	}
	return n.unlistedUplink(c, bridge, s)
}

// unlistedUplink returns a guest port that usually leads outside, unless the network has an uplink.
func (n *network) unlistedUplink(c *config.Network, bridge link.Link, s link.Snapshot) (link.Link, bool) {
	members := s.Members(bridge.Name)
	isUplink := func(l link.Link) bool { return n.isUplink(c, l, s) }
	at := slices.IndexFunc(members, func(l link.Link) bool { return l.LeadsOutside() && n.isGuestPort(c, l, s) })
	if at < 0 || slices.ContainsFunc(members, isUplink) {
		return link.Link{}, false
	}
	return members[at], true
}

// checkUplinks returns an error if a host without a default route may have to get it, by DHCP, by a guest port: the
// configuration names uplinks, none of them is there, and another member usually leads outside.
func (n *network) checkUplinks(c *config.Network, bridge link.Link, s link.Snapshot) error {
	port, ok := n.unlistedUplink(c, bridge, s)
	if len(c.Attach.Uplinks) == 0 || !ok {
		return nil
	}
	return fmt.Errorf("no uplink is a member of %s, and %s is a guest port, so the guard might cut the host off; "+
		"write %s under attach.uplinks, or take it out of the bridge", bridge.Name, port.Name, port.Name)
}

// wouldCutOff returns a finding if the guard cuts the host off, or would in mode vpc.
func (n *network) wouldCutOff(s link.Snapshot) []string {
	c := *n.config()
	c.Mode = config.VPC
	if err := n.checkDefaultRoute(&c, s); err != nil {
		return []string{err.Error()}
	}
	return nil
}
