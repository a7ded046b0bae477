package fabric

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// report logs the findings that are new since the last call. Findings do not keep the network from running.
func (f *Fabric) report(n *network, s link.Snapshot) {
	n.findOwn(s)
	now, before := n.findings(s), *n.found.Load()
	for _, finding := range now {
		if !slices.Contains(before, finding) {
			f.log.Warn(finding, "network", n.config().Name)
		}
	}
	n.found.Store(&now)
}

// findings returns, as messages, the differences between the machine and the configuration of a network.
func (n *network) findings(s link.Snapshot) []string {
	attach := n.config().Attach
	if attach.InBridge() && n.bridge != attach.Bridge {
		return []string{fmt.Sprintf("the bridge %s has been renamed to %s; write the new name into the configuration, "+
			"or arpfabric will not find it at the next start", attach.Bridge, n.bridge)}
	}
	if err := n.attachment.check(s); err != nil {
		return []string{err.Error()}
	}
	cutOff := n.wouldCutOff(s)
	if attach.Kind != config.AttachBridge {
		return cutOff
	}
	return slices.Concat(n.missingUplinks(s), n.overlayFindings(s), cutOff, n.cloned(), n.wrongHostAddresses(s), n.noGateway(s))
}

// missingUplinks returns findings about uplinks that are not members of the bridge. Under another name, such a NIC
// would be a guest port.
func (n *network) missingUplinks(s link.Snapshot) []string {
	var findings []string
	bridge := n.bridge
	for _, uplink := range n.config().Attach.Uplinks {
		renamed, ok := s.FindIndex(n.uplinkIndexes[uplink])
		switch {
		case s.MasterOf(uplink) == bridge:
		case ok && s.MasterOf(renamed.Name) == bridge:
			findings = append(findings, fmt.Sprintf("the uplink %s has been renamed to %s; write the new name into the configuration, "+
				"or it will be a guest port at the next start", uplink, renamed.Name))
		default:
			findings = append(findings, fmt.Sprintf("the uplink %s is not a member of %s; 'bridge link' lists the members, "+
				"and a member that is not listed under uplinks is a guest port", uplink, bridge))
		}
	}
	return findings
}

// wrongHostAddresses returns findings about the host's addresses on the bridge without a binding, or with a binding to
// another MAC.
func (n *network) wrongHostAddresses(s link.Snapshot) []string {
	own, ok := n.hostOn(s)
	if !ok {
		return nil
	}
	addrs, err := link.Addresses(own)
	if err != nil {
		return nil // the interface has just gone, and the loop will reconcile again
	}
	c, mac := n.config(), macOf(own)
	var findings []string
	for _, addr := range addrs {
		if !addr.Is4() || !registry.IPv4Of(addr).CanBeSource() || addr.IsLinkLocalUnicast() || c.Subnet.IsValid() && !c.Subnet.Contains(addr) {
			continue // guests send no requests for it
		}
		switch b, bound := c.Registry.Lookup(addr); {
		case !bound:
			findings = append(findings, fmt.Sprintf("the host's address %s on %s has no binding, so guests cannot find it; "+
				"add `%s: %q`", addr, own.Name, addr, mac))
		case b.MAC != mac:
			findings = append(findings, fmt.Sprintf("the host's address %s is bound to %s (%s), but %s has the MAC %s; "+
				"correct one of them", addr, b.MAC, b.Origin, own.Name, mac))
		}
	}
	return findings
}

// noGateway returns a finding if nobody may receive IPv4 from guests to an address behind an uplink that is not registered:
// neither a gateway nor a router, nor the host, as far as it forwards. The guard drops it, and guests see no cause.
func (n *network) noGateway(s link.Snapshot) []string {
	c := n.config()
	isUplink := func(l link.Link) bool { return n.isUplink(c, l, s) && l.Name != c.Overlay.Device }
	switch {
	case c.GuardInForce() != config.GuardFull, c.Gateway.IsValid(), c.Policy.UnknownToUplinks, hasRouter(c.Registry):
		return nil
	case !slices.ContainsFunc(s.Members(n.bridge), isUplink), n.hostForwards(s):
		return nil
	}
	return []string{"guests reach only registered addresses behind the uplinks, because the network has no gateway; if they have " +
		"one there, write its address as `gateway`, or `routes` in its binding"}
}

func hasRouter(r *registry.Registry) bool {
	for range r.RoutesTo() {
		return true
	}
	return false
}

// hostForwards reports whether the host may be the guests' gateway: guests find an address of it, and it forwards IPv4.
func (n *network) hostForwards(s link.Snapshot) bool {
	own, ok := n.hostOn(s)
	if !ok || !link.Forwards(own) {
		return false
	}
	addrs, err := link.Addresses(own)
	return err != nil || slices.ContainsFunc(addrs, func(addr netip.Addr) bool {
		b, bound := n.config().Registry.Lookup(addr)
		return bound && b.MAC == macOf(own)
	})
}

// Findings returns, by network, the differences between the machine and the configuration, as messages.
func (f *Fabric) Findings() map[string][]string {
	all := map[string][]string{}
	for _, n := range *f.running.Load() {
		s := n.settings.Load()
		if found := slices.Concat(*n.found.Load(), n.squatters.findings(s, time.Now())); len(found) > 0 {
			all[s.config.Name] = found
		}
	}
	return all
}

// Inspect returns, by network, the differences between this machine and a configuration, as messages, as a fabric that
// starts now would find them. It returns nil if the machine has none of the configuration's interfaces: then the
// configuration is another machine's.
func Inspect(c *config.Config) (map[string][]string, error) {
	s, err := link.ReadSnapshot()
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(c.Networks, func(n config.Network) bool { return hasInterfaceOf(n.Attach, s) }) {
		return nil, nil
	}
	all := map[string][]string{}
	var networks []*network
	for _, n := range c.Networks {
		networks = append(networks, newNetwork(n))
	}
	for _, n := range networks {
		n.findBridge(s, networks)
		if found := n.findings(s); len(found) > 0 {
			all[n.config().Name] = found
		}
	}
	return all, nil
}

// hasInterfaceOf reports whether the machine has an interface that an attachment names. A TAP is the fabric's own.
func hasInterfaceOf(a config.Attachment, s link.Snapshot) bool {
	names := append([]string{a.Bridge}, a.Uplinks...)
	if a.Kind != config.AttachTAP {
		names = append(names, a.Device)
	}
	return slices.ContainsFunc(names, func(name string) bool { _, ok := s.Find(name); return ok })
}
