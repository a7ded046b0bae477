package fabric

import (
	"slices"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder"
)

// isUplink reports whether a member of the network's bridge is one of the uplinks of the configuration c. An uplink that is
// renamed remains one until the configuration changes, so that what is behind it is not cut off.
func (n *network) isUplink(c *config.Network, l link.Link, s link.Snapshot) bool {
	return slices.ContainsFunc(c.Attach.Uplinks, func(name string) bool {
		return l.Name == name || n.uplinkIndexes[name] == l.Index && s.MasterOf(name) != n.bridge
	})
}

// isGuestPort reports whether a member of the network's bridge is a guest port with the configuration c: it is neither an
// uplink nor the fabric's own TAP.
func (n *network) isGuestPort(c *config.Network, l link.Link, s link.Snapshot) bool {
	isOwn := c.Attach.Kind == config.AttachTAP && l.Name == c.Attach.Device
	return !isOwn && !n.isUplink(c, l, s)
}

// guestPorts returns the members of the network's bridge that are guest ports.
func (n *network) guestPorts(s link.Snapshot) []link.Link {
	c := n.config()
	return slices.DeleteFunc(s.Members(n.bridge), func(l link.Link) bool { return !n.isGuestPort(c, l, s) })
}

// findUplinks remembers the uplinks by their ifindexes.
func (n *network) findUplinks(s link.Snapshot) {
	for _, name := range n.config().Attach.Uplinks {
		if l, ok := s.Find(name); ok && s.MasterOf(name) == n.bridge {
			n.uplinkIndexes[name] = l.Index
		}
	}
}

// uplinkNames returns the names of the uplinks that are members of the bridge, as they are now.
func (n *network) uplinkNames(s link.Snapshot) []string {
	var names []string
	for _, l := range s.Members(n.bridge) {
		if n.isUplink(n.config(), l, s) {
			names = append(names, l.Name)
		}
	}
	return names
}

// uplinks returns the ports of the network's uplinks, with counters at zero.
func (n *network) uplinks(s link.Snapshot) []*port {
	var ports []*port
	for _, name := range n.uplinkNames(s) {
		l, _ := s.Find(name)
		ports = append(ports, n.newPort(l, responder.Uplink))
	}
	return ports
}

// tag returns the VLAN in the tag of frames on the port; 0 if they have none.
func (p *port) tag() uint16 {
	if !p.in.Trunk {
		return 0
	}
	return p.network.segment().vlan
}
