package fabric

import (
	"fmt"
	"slices"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
)

// bridgeAttachment makes every member of a bridge, or of one VLAN of it, a guest port, except the uplinks.
type bridgeAttachment struct {
	network *network
	guests  []string // names of the guarded ports
	uplinks []string // names of the members that are uplinks

	isUnfiltered bool // the bridge does not filter VLANs, and reportOnce has returned the error
}

func (a *bridgeAttachment) check(s link.Snapshot) error {
	attach := a.network.config().Attach
	err := checkBridge(s, attach.Bridge)
	if err == nil {
		err = checkVLAN(s, attach.Bridge, attach.VLAN)
	}
	return err
}

// checkVLAN returns an error if a bridge exists but does not filter VLANs, and vlan is not 0.
func checkVLAN(s link.Snapshot, bridge string, vlan uint16) error {
	if vlan == 0 || !s.IsBridge(bridge) || s.FiltersVLANs(bridge) {
		return nil
	}
	return fmt.Errorf("%s does not filter VLANs, so no port belongs to VLAN %d; switch it on: "+
		"ip link set %s type bridge vlan_filtering 1", bridge, vlan, bridge)
}

func checkBridge(s link.Snapshot, bridge string) error {
	if s.IsBridge(bridge) {
		return nil
	}
	if _, ok := s.Find(bridge); ok {
		return fmt.Errorf("%s is not a bridge; attach to it as an interface, or name a bridge", bridge)
	}
	return fmt.Errorf("there is no bridge %s; make it first: ip link add %s type bridge && ip link set %s up", bridge, bridge, bridge)
}

func (a *bridgeAttachment) reconcile(s link.Snapshot) ([]link.Link, error) {
	attach := a.network.config().Attach
	a.uplinks = a.network.uplinkNames(s)
	members := a.network.guestPorts(s)
	if attach.VLAN == 0 {
		a.guests = guardedNames(s, members, a.guests)
		return members, nil
	}
	ports := inVLAN(members, attach.VLAN)
	a.guests = guardedNames(s, slices.Concat(ports, a.unassigned(members)), a.guests)
	return ports, a.reportOnce(checkVLAN(s, a.network.bridge, attach.VLAN))
}

// reportOnce returns the error of checkVLAN only the first time. The loop tries again after an error, which would not
// help here.
func (a *bridgeAttachment) reportOnce(err error) error {
	isNew := err != nil && !a.isUnfiltered
	a.isUnfiltered = err != nil
	if isNew {
		return err
	}
	return nil
}

// unassigned returns the members that were guest ports and belong to no VLAN now, because they are about to join
// another one, or because the bridge no longer filters VLANs. They stay guarded, and get no answers, until they belong
// to a VLAN again. Then the network of that VLAN guards them, if there is one.
func (a *bridgeAttachment) unassigned(members []link.Link) []link.Link {
	return slices.DeleteFunc(inVLAN(members, 0), func(l link.Link) bool { return !slices.Contains(a.guests, l.Name) })
}

// inVLAN returns the members whose untagged frames belong to a VLAN, or to none if vlan is 0.
func inVLAN(members []link.Link, vlan uint16) []link.Link {
	return slices.DeleteFunc(slices.Clone(members), func(l link.Link) bool { return l.VLAN != vlan })
}

// guardedNames returns the names of the ports to guard: the given ones, and those that were guarded before and are in
// no bridge now. If a bridge is deleted and made again, its members are guarded even before they join it again.
func guardedNames(s link.Snapshot, ports []link.Link, before []string) []string {
	var names []string
	for _, p := range ports {
		names = append(names, p.Name)
	}
	for _, name := range before {
		if _, ok := s.Find(name); ok && s.MasterOf(name) == "" {
			names = append(names, name)
		}
	}
	return names
}

// union returns the names in either list, without duplicates. An uplink that is no member yet is in the guard all the same,
// so that it is one from its first moment in the bridge.
func union(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}

func (a *bridgeAttachment) plan(p *datapath.Plan) {
	n := a.network.plan(a.network.bridge, a.guests, datapath.HandOver)
	if a.network.seesAllARP() {
		n.Uplinks = union(a.network.config().Attach.Uplinks, a.uplinks)
	}
	p.Networks = append(p.Networks, n)
}
