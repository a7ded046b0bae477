package fabric

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// network is a running network. It exists as long as the configuration has its attachment. Everything else about it may
// change.
type network struct {
	attachment attachment
	server     *connServer // nil if the datapath carries the network's frames
	settings   atomic.Pointer[settings]

	waitsFor      atomic.Pointer[string] // error that says what is missing for the network to start; nil once it has started
	bridge        string                 // name of its bridge at the last reconciliation; "" for none
	bridgeIndex   int                    // ifindex of the bridge that the network began with, as long as there is that bridge
	uplinkIndexes map[string]int         // ifindexes of the members that are, or began as, uplinks, by their configured names
	outside       outside
	squatters     squatters
	holders       holders                   // of addresses that move between MACs; only the loop uses it
	found         atomic.Pointer[[]string]  // differences from the configuration at the last reconciliation
	own           atomic.Pointer[link.Link] // interface of the host's own stack in the network at the last reconciliation; nil for none

	locations atomic.Pointer[locations] // nil unless the network has locations; only the loop replaces them
	away      locations                 // the locations behind guest ports that have left the bridge
	moves     *macLimit                 // of MACs that move to another port
	clones    map[registry.MAC]clone    // MACs that have moved too often
	relays    *macLimit                 // of announcements that leave by uplinks
	overlay   overlay
}

// settings has a network's configuration, and the values derived from it. It is never changed, only replaced.
type settings struct {
	config    config.Network
	responder *responder.Responder
	answers   bool         // send answers; in classic mode the fabric only counts them
	hostMAC   registry.MAC // MAC of the host's own stack on the network's bridge; zero if it is not there
}

// An attachment connects a network to its guests. Once the fabric runs, only the loop calls it.
type attachment interface {
	// check returns an error if an interface that the network needs is missing or unsuitable.
	check(s link.Snapshot) error

	// reconcile adapts the attachment to the interfaces, and returns the network's ports. It returns the ports even
	// with an error.
	reconcile(s link.Snapshot) ([]link.Link, error)

	// plan adds the network, as it was last reconciled, to the datapath's plan.
	plan(p *datapath.Plan)
}

// An opener is an attachment with a Conn of its own. For other attachments, the datapath carries the frames.
type opener interface {
	open(s link.Snapshot) (wire.Conn, error)
}

func newNetwork(c config.Network) *network {
	n := &network{
		uplinkIndexes: map[string]int{},
		away:          locations{},
		moves:         newMACLimit(mostMoves, movesPeriod),
		clones:        map[registry.MAC]clone{},
		relays:        newMACLimit(mostRelays, relaysPeriod),
	}
	n.settings.Store(newSettings(c, nil))
	n.found.Store(&[]string{})
	switch c.Attach.Kind {
	case config.AttachBridge:
		n.attachment = &bridgeAttachment{network: n}
	case config.AttachTAP:
		n.attachment = &tapAttachment{network: n}
	case config.AttachInterface:
		n.attachment = &interfaceAttachment{network: n}
	case config.AttachSidecar:
		n.attachment = &sidecarAttachment{network: n}
	}
	return n
}

func newSettings(c config.Network, host []netip.Addr) *settings {
	c.Policy.Host = host
	return &settings{config: c, responder: responder.New(c.Registry, c.Policy), answers: c.Mode == config.VPC}
}

// withRegistry returns the settings with another registry.
func (s *settings) withRegistry(r *registry.Registry) *settings {
	next := *s
	next.config.Registry = r
	next.responder = responder.New(r, s.config.Policy)
	return &next
}

func (n *network) config() *config.Network { return &n.settings.Load().config }

// change replaces the network's settings. Until settle, the network answers if either the old or the new settings say
// so. The guard changes in between, and no request may be lost.
func (n *network) change(c config.Network) {
	before := n.settings.Load()
	next := newSettings(c, before.config.Policy.Host)
	next.answers = next.answers || before.answers
	next.hostMAC = before.hostMAC
	n.settings.Store(next)
}

// settle makes the network answer only if the new settings say so.
func (n *network) settle() {
	settled := *n.settings.Load()
	settled.answers = settled.config.Mode == config.VPC
	n.settings.Store(&settled)
}

// setHostAddresses makes the responder leave requests for these addresses to the host's kernel, which answers them.
func (n *network) setHostAddresses(addrs []netip.Addr) {
	if c := n.config(); !slices.Equal(c.Policy.Host, addrs) {
		next := newSettings(*c, addrs)
		next.hostMAC = n.settings.Load().hostMAC
		n.settings.Store(next)
	}
}

// guarded reports whether the guard keeps guests' ARP from crossing the bridge.
func (n *network) guarded() bool { return isGuarded(n.config()) }

func isGuarded(c *config.Network) bool { return c.Mode == config.VPC && c.Guard != config.GuardNone }

// seesAllARP reports whether the fabric sees the ARP of the host and of uplinks, besides that of guests. With guard:
// none in mode vpc it does not.
func (n *network) seesAllARP() bool { return n.guarded() || n.config().Mode == config.Classic }

// plan returns the plan for guest ports of a bridge. arpMode is the mode for their ARP if the network is guarded.
func (n *network) plan(bridge string, guests []string, arpMode datapath.ARPMode) datapath.Network {
	c := n.config()
	plan := datapath.Network{
		Name: c.Name, Bridge: bridge, VLAN: c.Attach.VLAN, Guests: guests, ARP: arpMode, RateLimit: c.RateLimit,
		Registry: c.Registry, PassIPv6: c.Policy.PassIPv6, OpenDHCP: c.Policy.OpenDHCP, HostTunnels: c.Policy.HostTunnels,
		UnknownToUplinks: c.Policy.UnknownToUplinks, Locations: n.planned(),
		ThroughBridge: c.ThroughBridge, DropsSelfProbes: c.Policy.IgnoreSelfProbe, HostAddresses: c.Policy.Host,
	}
	if mac := n.settings.Load().hostMAC; mac != (registry.MAC{}) {
		plan.Host = []registry.MAC{mac}
	}
	if b, ok := c.Registry.Lookup(c.Gateway); ok {
		plan.Gateway = b.MAC
	}
	switch {
	case c.Guard == config.GuardNone:
		plan.ARP, plan.SeesHost = datapath.Observe, c.Mode == config.Classic
	case c.Mode == config.Classic:
		plan.ARP, plan.SeesHost = datapath.Observe, true
		if c.Guard == config.GuardFull {
			plan.AllowList = datapath.Report
		}
	case c.Guard == config.GuardFull:
		plan.AllowList = datapath.Enforce
	}
	return plan
}

// updateHostMAC reads the MAC of the host's own stack on the network's bridge.
func (n *network) updateHostMAC(s link.Snapshot) {
	l, ok := n.hostInterface(s)
	next := *n.settings.Load()
	before := next.hostMAC
	next.hostMAC = registry.MAC{}
	if ok {
		next.hostMAC = macOf(l)
	}
	if next.hostMAC != before {
		n.settings.Store(&next)
	}
}

// hostOn returns the interface by which the host's own stack is a guest of the network: a sidecar's interface, the
// bridge, or a VLAN device on top of it. It returns none with a TAP: there, the host's requests reach the TAP like all
// others.
func (n *network) hostOn(s link.Snapshot) (link.Link, bool) {
	switch a := n.config().Attach; {
	case a.Kind == config.AttachSidecar:
		return s.Find(a.Device)
	case a.Kind == config.AttachBridge && n.seesAllARP() && s.IsBridge(n.bridge):
		return n.hostInterface(s)
	}
	return link.Link{}, false
}

// hostInterface returns the interface of the host's own stack on the network's bridge, if it has one: the bridge, or a
// VLAN device on top of it.
func (n *network) hostInterface(s link.Snapshot) (link.Link, bool) {
	return hostInterface(n.config(), n.bridge, s)
}

func hostInterface(c *config.Network, bridge string, s link.Snapshot) (link.Link, bool) {
	if c.Attach.VLAN != 0 {
		return s.HostIn(bridge, c.Attach.VLAN)
	}
	return s.Find(bridge)
}

// findBridge finds the network's bridge. A bridge that is renamed remains the network's, so that its guests stay guarded,
// until there is another bridge of the configured name, or unless its new name is the one of another network's bridge.
func (n *network) findBridge(s link.Snapshot, all []*network) {
	n.bridge = n.config().Attach.Bridge
	first, ok := s.FindIndex(n.bridgeIndex)
	isRenamed := ok && s.IsBridge(first.Name) && first.Name != n.bridge
	switch named, _ := s.Find(n.bridge); {
	case !s.IsBridge(n.bridge) && isRenamed && !isBridgeOf(all, first.Name):
		n.bridge = first.Name
	case s.IsBridge(n.bridge) && !isRenamed:
		n.bridgeIndex = named.Index
	}
}

// isBridgeOf reports whether a bridge of that name belongs to one of the networks by their configuration.
func isBridgeOf(all []*network, name string) bool {
	return slices.ContainsFunc(all, func(n *network) bool { return n.config().Attach.Bridge == name })
}

// problem adds the network's name to err. It returns nil for nil.
func (n *network) problem(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("network %s: %w", n.config().Name, err)
}

func (n *network) closeServer() {
	if n.server != nil {
		n.server.close()
	}
}
