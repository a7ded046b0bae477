package fabric

import (
	"fmt"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
)

// tapAttachment has one port, the fabric's own TAP, which may be a member of a bridge.
type tapAttachment struct {
	network *network
	steered []string // names in the guard
}

func (a *tapAttachment) check(s link.Snapshot) error {
	if bridge := a.network.config().Attach.Bridge; bridge != "" {
		return checkBridge(s, bridge)
	}
	return nil
}

func (a *tapAttachment) open(link.Snapshot) (wire.Conn, error) {
	tap, err := wire.OpenTAP(a.network.config().Attach.TAP)
	if err != nil {
		return nil, err
	}
	return tap, nil
}

func (a *tapAttachment) follow(s link.Snapshot) ([]link.Link, error) {
	attach := a.network.config().Attach
	if attach.Bridge != "" {
		a.steered = guardedNames(s, guestPorts(s, attach.Bridge, attach.TAP), a.steered)
	}
	tap, ok := s.Find(attach.TAP)
	if !ok { // deleted; the wire makes it anew
		return nil, nil
	}
	return []link.Link{tap}, a.connect(s, tap)
}

// connect sets the TAP up and puts it into its bridge, where it isn't.
func (a *tapAttachment) connect(s link.Snapshot, tap link.Link) error {
	bridge := a.network.config().Attach.Bridge
	isPlugged := !s.IsBridge(bridge) || s.MasterOf(tap.Name) == bridge
	if isPlugged && tap.IsUp {
		return nil
	}
	if !isPlugged {
		if err := link.PlugTAP(tap.Name, bridge); err != nil {
			return err
		}
	}
	if err := link.Up(tap.Name); err != nil {
		return fmt.Errorf("the fabric's TAP: %w", err)
	}
	return nil
}

func (a *tapAttachment) plan(p *guard.Plan) {
	if a.network.config().Attach.Bridge == "" || !a.network.guarded() {
		return
	}
	n := a.network.guardPlan(a.steered, guard.Steer)
	n.TAP = a.network.config().Attach.TAP
	p.Networks = append(p.Networks, n)
}
