package fabric

import (
	"fmt"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
)

// tapAttachment has one port, the fabric's TAP, which may be a member of a bridge.
type tapAttachment struct {
	network *network
	steered []string // names of the guarded ports
}

func (a *tapAttachment) check(s link.Snapshot) error {
	if attach := a.network.config().Attach; attach.InBridge() {
		return checkBridge(s, attach.Bridge)
	}
	return nil
}

func (a *tapAttachment) open(link.Snapshot) (wire.Conn, error) {
	tap, err := wire.OpenTAP(a.network.config().Attach.Device)
	if err != nil {
		return nil, err
	}
	return tap, nil
}

func (a *tapAttachment) reconcile(s link.Snapshot) ([]link.Link, error) {
	attach := a.network.config().Attach
	if attach.InBridge() {
		a.steered = guardedNames(s, a.network.guestPorts(s), a.steered)
	}
	tap, ok := s.Find(attach.Device)
	if !ok { // it was deleted, and wire.TAP makes it again
		return nil, nil
	}
	return []link.Link{tap}, a.connect(s, tap)
}

// connect adds the TAP to its bridge, and sets it up, if it is not there or not up.
func (a *tapAttachment) connect(s link.Snapshot, tap link.Link) error {
	bridge := a.network.bridge
	isMember := !s.IsBridge(bridge) || s.MasterOf(tap.Name) == bridge
	if isMember && tap.IsUp {
		return nil
	}
	if !isMember {
		if err := link.AddTAPToBridge(tap.Name, bridge); err != nil {
			return err
		}
	}
	if err := link.Up(tap.Name); err != nil {
		return fmt.Errorf("the fabric's TAP: %w", err)
	}
	return nil
}

func (a *tapAttachment) plan(p *datapath.Plan) {
	if !a.network.config().Attach.InBridge() || !a.network.guarded() {
		return
	}
	n := a.network.plan(a.network.bridge, a.steered, datapath.Steer)
	n.TAP = a.network.config().Attach.Device
	p.Networks = append(p.Networks, n)
}
