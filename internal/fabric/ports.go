package fabric

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// A port is an interface by which frames of guests enter. An interface that was deleted and made again is another port.
type port struct {
	link    link.Link
	network *network
	facts   config.Port
	in      responder.Ingress
	locates bool    // frames show which MACs are behind it
	counts  *counts // since the interface was made
}

type counts [responder.NumReasons][responder.NumActions]atomic.Uint64

// ports is the table of all ports. It is never changed, only replaced.
type ports struct {
	byIndex map[int]*port     // guest ports, by ifindex
	hosts   map[segment]*port // the host's own stack, which is a guest, too, by segment
	uplinks map[uplink]*port

	// steered has the fabric's TAP by the ifindex of each guest port in its bridge. The guard hands over the ARP that the
	// bridge must not learn from; it is decided and counted as if the TAP had received it.
	steered map[int]*port
}

// An uplink identifies the port of an uplink in one network. Networks on several VLANs of a bridge may share an uplink.
type uplink struct {
	index int    // ifindex
	vlan  uint16 // VLAN tag of the network's frames there; 0 if they are untagged
}

func newPorts() *ports {
	return &ports{byIndex: map[int]*port{}, hosts: map[segment]*port{}, uplinks: map[uplink]*port{}, steered: map[int]*port{}}
}

// from returns the ingress port of a frame, or nil if there is none.
func (t *ports) from(frame wire.Frame) *port {
	p := t.byIndex[frame.Port]
	switch {
	case p == nil && t.steered[frame.Port] != nil:
		return t.steered[frame.Port]
	case p == nil:
		return t.uplinks[uplink{frame.Port, vlanOf(frame.Data)}]
	case frame.FromHost:
		return t.hosts[p.network.segment().ofHost(frame.Data)]
	}
	return p
}

// vlanOf returns the VLAN in the outermost tag of a frame, or 0 if it has none.
func vlanOf(frame []byte) uint16 {
	header, ok := responder.ParseHeader(frame)
	if !ok {
		return 0
	}
	return header.VLAN()
}

// all returns the guest ports, then the hosts, then the uplinks.
func (t *ports) all() []*port {
	return slices.Concat(slices.Collect(maps.Values(t.byIndex)), t.ofHosts(), slices.Collect(maps.Values(t.uplinks)))
}

// ofHosts returns the host's own ports, and those of sidecars' guests.
func (t *ports) ofHosts() []*port { return slices.Collect(maps.Values(t.hosts)) }

func (t *ports) isUplink(index int) bool {
	for at := range t.uplinks {
		if at.index == index {
			return true
		}
	}
	return false
}

func (t *ports) count(n *network) int {
	count := 0
	for _, p := range t.byIndex {
		if p.network == n {
			count++
		}
	}
	return count
}

// addNetwork adds the ports of a network: the guest ports links, the host's own stack, and the uplinks. A port that was
// there before keeps its counters.
func (t *ports) addNetwork(n *network, links []link.Link, s link.Snapshot, before *ports) {
	for _, l := range links {
		t.byIndex[l.Index] = before.byIndex[l.Index].reuse(n.newPort(l, responder.GuestPort))
		if n.config().Attach.Kind == config.AttachTAP {
			t.addSteered(n, t.byIndex[l.Index], s)
		}
	}
	if own, ok := n.hostOn(s); ok {
		// The host's frames are read as they leave by guests' ports. They may be tagged with other VLANs than the
		// guest's, so they are found by segment.
		at := n.segment()
		t.hosts[at] = before.hosts[at].reuse(n.newPort(own, responder.Host))
	}
	if !n.seesAllARP() {
		return
	}
	for _, p := range n.uplinks(s) {
		at := uplink{p.link.Index, p.tag()}
		t.uplinks[at] = before.uplinks[at].reuse(p)
	}
}

// addSteered adds the guest ports in the bridge of the TAP.
func (t *ports) addSteered(n *network, tap *port, s link.Snapshot) {
	for _, l := range n.guestPorts(s) {
		t.steered[l.Index] = tap
	}
}

// newPort returns a port of the network with counters at zero.
func (n *network) newPort(l link.Link, kind responder.PortKind) *port {
	s := n.settings.Load()
	facts := config.Port{
		Name: l.Name, Kind: kind, MAC: macOf(l), HostMAC: s.hostMAC,
		Untagged: kind == responder.Uplink && l.VLAN == s.config.Attach.VLAN,
	}
	p := &port{link: l, network: n, facts: facts, in: s.config.Ingress(facts), counts: &counts{}}
	// Once the guard is in force, only ARP reaches a TAP. Other frames that reach it before do not violate the
	// allow-list.
	p.in.AllowList = p.in.AllowList && s.config.Attach.SeesPorts()
	p.locates = n.hasLocations() && kind != responder.Host
	return p
}

// macOf returns an interface's MAC, or zero if it has none.
func macOf(l link.Link) (mac registry.MAC) {
	copy(mac[:], l.MAC)
	return mac
}

// reuse returns p if next describes the same port with the same Ingress. Otherwise it returns next, with p's counters
// if it is the same port: its Ingress changes, for example, when the MAC of the bridge does. p may be nil.
func (p *port) reuse(next *port) *port {
	switch {
	case !p.isSame(next):
		return next
	case p.in == next.in && p.locates == next.locates && p.link.VLAN == next.link.VLAN && p.link.Runs == next.link.Runs:
		return p
	}
	next.counts = p.counts
	return next
}

// isSame reports whether p and q are the same port. Either may be nil.
func (p *port) isSame(q *port) bool {
	return p != nil && q != nil && p.network == q.network && p.link.Index == q.link.Index && p.in.Port == q.in.Port
}
