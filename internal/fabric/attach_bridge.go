package fabric

import (
	"fmt"
	"slices"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/link"
)

// bridgeAttachment makes every member of a bridge a guest port, but for the uplinks.
type bridgeAttachment struct {
	network *network
	guests  []string // names in the guard
}

func (a *bridgeAttachment) check(s link.Snapshot) error {
	return checkBridge(s, a.network.config().Attach.Bridge)
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
	ports := guestPorts(s, a.network.config().Attach.Bridge, a.network.config().Attach.Uplinks...)
	a.guests = guardedNames(s, ports, a.guests)
	return ports, nil
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
	if !a.network.guarded() {
		p.Observed = append(p.Observed, a.guests...)
		return
	}
	p.Guests = append(p.Guests, a.guests...)
	p.Uplinks = append(p.Uplinks, a.network.config().Attach.Uplinks...)
}
