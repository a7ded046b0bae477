package fabric

import (
	"fmt"
	"slices"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/link"
)

// bridgeAttachment makes every member of a bridge, or of one VLAN of it, a guest port, but for the uplinks.
type bridgeAttachment struct {
	network *network
	guests  []string // names in the guard

	isUnfiltered bool // the network's VLAN is not kept apart, which has been said
}

func (a *bridgeAttachment) check(s link.Snapshot) error {
	at := a.network.segment()
	err := checkBridge(s, at.bridge)
	if err == nil {
		err = at.checkVLAN(s)
	}
	return err
}

// checkVLAN holds that the bridge, where there is one, keeps the segment's VLAN apart from others.
func (at segment) checkVLAN(s link.Snapshot) error {
	if at.vlan == 0 || !s.IsBridge(at.bridge) || s.FiltersVLANs(at.bridge) {
		return nil
	}
	return fmt.Errorf("%s does not filter VLANs, so no port belongs to VLAN %d; switch it on: "+
		"ip link set %s type bridge vlan_filtering 1", at.bridge, at.vlan, at.bridge)
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

func (a *bridgeAttachment) follow(s link.Snapshot) ([]link.Link, error) {
	at := a.network.segment()
	members := guestPorts(s, at.bridge, a.network.config().Attach.Uplinks...)
	if at.vlan == 0 {
		a.guests = guardedNames(s, members, a.guests)
		return members, nil
	}
	ports := inVLAN(members, at.vlan)
	a.guests = guardedNames(s, slices.Concat(ports, a.between(members)), a.guests)
	return ports, a.news(at.checkVLAN(s))
}

// news returns the error of checkVLAN the first time: to try again, as is done after an error, is no help.
func (a *bridgeAttachment) news(err error) error {
	isNew := err != nil && !a.isUnfiltered
	a.isUnfiltered = err != nil
	if isNew {
		return err
	}
	return nil
}

// between returns the members that were guest ports and are in no VLAN now: on their way to another one, or
// because the bridge does not filter VLANs any more. They stay guarded, and nobody answers them, until they are in
// a VLAN again, whose network guards them then if there is one.
func (a *bridgeAttachment) between(members []link.Link) []link.Link {
	return slices.DeleteFunc(inVLAN(members, 0), func(l link.Link) bool { return !slices.Contains(a.guests, l.Name) })
}

// inVLAN returns the members whose untagged frames are in a VLAN, or in none where it is 0.
func inVLAN(members []link.Link, vlan uint16) []link.Link {
	return slices.DeleteFunc(slices.Clone(members), func(l link.Link) bool { return l.VLAN != vlan })
}

// guestPorts returns the members of a bridge without some.
func guestPorts(s link.Snapshot, bridge string, without ...string) []link.Link {
	return slices.DeleteFunc(s.Members(bridge), func(l link.Link) bool { return slices.Contains(without, l.Name) })
}

// guardedNames returns the names to guard: those of the ports, and of those that were guarded before and
// are in no bridge now. When a bridge is made anew, its members are guarded before they are back.
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

func (a *bridgeAttachment) plan(p *guard.Plan) {
	n := a.network.guardPlan(a.guests, guard.HandOver)
	if a.network.watched() {
		n.Uplinks = a.network.config().Attach.Uplinks
	}
	p.Networks = append(p.Networks, n)
}
