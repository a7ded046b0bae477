package fabric

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
)

// network is a network of the configuration as it runs. It lives as long as its attachment is in the
// configuration; everything else about it may change.
type network struct {
	attachment attachment
	line       *line // of its own; nil for a bridge
	settings   atomic.Pointer[settings]
}

// settings is what a network is told by the configuration. It is replaced whole.
type settings struct {
	config    config.Network
	responder *responder.Responder
	answers   bool          // replies leave; in classic mode they are only counted
	hostMAC   responder.MAC // that the host's own stack has on the network's bridge; zero where it isn't on it
}

// An attachment is how a network's guests are reached. Only the goroutine that follows the interfaces
// calls it once the fabric runs.
type attachment interface {
	// check says what the machine lacks for the network to start.
	check(s link.Snapshot) error

	// follow adapts to the interfaces as they are now, and returns the network's ports. It returns them
	// also where it could not do all that it should.
	follow(s link.Snapshot) ([]link.Link, error)

	// plan adds the network to the guard's plan.
	plan(p *guard.Plan)
}

// An opener is an attachment with a Conn of its own; all others share one.
type opener interface {
	open(s link.Snapshot) (wire.Conn, error)
}

func newNetwork(c config.Network) *network {
	n := &network{}
	n.settings.Store(newSettings(c, nil))
	switch a := c.Attach; {
	case a.TAP != "":
		n.attachment = &tapAttachment{network: n}
	case a.Interface != "":
		n.attachment = &interfaceAttachment{network: n}
	case a.Sidecar != "":
		n.attachment = &sidecarAttachment{network: n}
	default:
		n.attachment = &bridgeAttachment{network: n}
	}
	return n
}

func newSettings(c config.Network, host []netip.Addr) *settings {
	c.Policy.Host = host
	return &settings{config: c, responder: responder.New(c.Registry, c.Policy), answers: c.Mode == config.VPC}
}

func (n *network) config() *config.Network { return &n.settings.Load().config }

// change gives the network other settings. Until settle, it answers if it did before or is to from now
// on: the guard changes in between, and no request may fall between the two.
func (n *network) change(c config.Network) {
	before := n.settings.Load()
	next := newSettings(c, before.config.Policy.Host)
	next.answers = next.answers || before.answers
	next.hostMAC = before.hostMAC
	n.settings.Store(next)
}

func (n *network) settle() {
	settled := *n.settings.Load()
	settled.answers = settled.config.Mode == config.VPC
	n.settings.Store(&settled)
}

// leaveToHost makes the responder leave these addresses to the host's kernel.
func (n *network) leaveToHost(addrs []netip.Addr) {
	if c := n.config(); !slices.Equal(c.Policy.Host, addrs) {
		next := newSettings(*c, addrs)
		next.hostMAC = n.settings.Load().hostMAC
		n.settings.Store(next)
	}
}

// guarded reports whether the kernel keeps guests' ARP from crossing the bridge.
func (n *network) guarded() bool {
	c := n.config()
	return c.Mode == config.VPC && c.Guard != config.GuardNone
}

// watched reports whether the fabric sees more than guests' frames: what the host asks, and what is behind uplinks. Where
// others' rules guard it does not.
func (n *network) watched() bool { return n.guarded() || n.config().Mode == config.Classic }

// guardPlan says how the kernel guards some ports, whose ARP goes that way where the network is guarded.
func (n *network) guardPlan(guests []string, way guard.ARP) guard.Network {
	c := n.config()
	plan := guard.Network{
		Name: c.Name, Bridge: c.Attach.Bridge, VLAN: c.Attach.VLAN, Guests: guests, ARP: way, RateLimit: c.RateLimit,
		Registry: c.Registry, PassIPv6: c.Policy.PassIPv6,
	}
	if mac := n.settings.Load().hostMAC; mac != (responder.MAC{}) {
		plan.Host = []responder.MAC{mac}
	}
	switch {
	case c.Guard == config.GuardNone:
		plan.ARP, plan.HearsHost = guard.Observe, c.Mode == config.Classic
	case c.Mode == config.Classic:
		plan.ARP, plan.HearsHost = guard.Observe, true
		if c.Guard == config.GuardFull {
			plan.AllowList = guard.Report
		}
	case c.Guard == config.GuardFull:
		plan.AllowList = guard.Enforce
	}
	return plan
}

// noteHost notes the MAC that the host's own stack has on the network's bridge.
func (n *network) noteHost(s link.Snapshot) {
	l, ok := n.segment().host(s)
	next := *n.settings.Load()
	before := next.hostMAC
	next.hostMAC = responder.MAC{}
	if ok {
		copy(next.hostMAC[:], l.MAC)
	}
	if next.hostMAC != before {
		n.settings.Store(&next)
	}
}

// hostOn returns the interface with which the host's own stack is a guest of the network: the sidecar's, the bridge,
// or, in a VLAN, maybe a device on top of it. With a TAP the host is answered as everybody else is.
func (n *network) hostOn(s link.Snapshot) (link.Link, bool) {
	a := n.config().Attach
	switch {
	case a.Sidecar != "":
		return s.Find(a.Sidecar)
	case a.TAP != "" || !n.watched() || !s.IsBridge(a.Bridge):
		return link.Link{}, false
	}
	return n.segment().host(s)
}

// problem says of which network err is; nil stays nil.
func (n *network) problem(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("network %s: %w", n.config().Name, err)
}

func (n *network) closeLine() {
	if n.line != nil {
		n.line.close()
	}
}
