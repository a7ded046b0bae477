package fabric

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// squatters are the hosts behind a network's uplinks that use an address that the registry binds to another MAC, such as
// the gateway's. The fabric can't stop them there; they are findings. The zero squatters has none.
type squatters struct {
	mu   sync.Mutex // the servers note, and status lists
	seen []squatter
}

type squatter struct {
	addr   netip.Addr
	mac    registry.MAC
	uplink string
	last   time.Time
}

const (
	maxSquatters  = 16               // more are not kept: a host can make up many
	squatterStays = 10 * time.Minute // since it was heard last
)

// note notes a squatter. It returns false if it is known, or if there are too many.
func (q *squatters) note(s squatter) (isNew bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	isSame := func(o squatter) bool { return o.addr == s.addr && o.mac == s.mac && o.uplink == s.uplink }
	if i := slices.IndexFunc(q.seen, isSame); i >= 0 {
		q.seen[i].last = s.last
		return false
	}
	q.seen = slices.DeleteFunc(q.seen, func(o squatter) bool { return s.last.Sub(o.last) > squatterStays })
	if len(q.seen) == maxSquatters {
		return false
	}
	q.seen = append(q.seen, s)
	return true
}

// findings returns the squatters that were heard of late, as messages.
func (q *squatters) findings(s *settings, now time.Time) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var findings []string
	for _, o := range q.seen {
		if b, bound := s.config.Registry.Lookup(o.addr); bound && !mayOwn(b, o.mac) && now.Sub(o.last) <= squatterStays {
			findings = append(findings, o.describe(s, b))
		}
	}
	return findings
}

// mayOwn reports whether the addresses of a binding are a MAC's, or may move to it.
func mayOwn(b registry.Binding, mac registry.MAC) bool {
	return b.MAC == mac || b.Candidates.Contains(mac)
}

func (o squatter) describe(s *settings, b registry.Binding) string {
	role := ""
	if o.addr == s.config.Gateway {
		role = "the gateway "
	}
	return fmt.Sprintf("%s%s is bound to %s (%s), but %s behind the uplink %s uses it; find that host, or correct the binding",
		role, o.addr, b.MAC, b.Origin, o.mac, o.uplink)
}

// checkOutside compares the sender of a sound ARP frame from an uplink with the registry, and logs each squatter once.
func (f *Fabric) checkOutside(p *port, s *settings, frame []byte, v responder.Verdict, now time.Time) {
	if v.Reason < responder.GuestReply || v.Reason > responder.Answered {
		return // not ARP, or not sound
	}
	id := responder.SenderIdentityOf(frame)
	owner, bound := s.config.Registry.Owner(registry.IPv4Of(id.Sender))
	if !bound || owner.MAC == id.MAC {
		return
	}
	b, _ := s.config.Registry.Lookup(id.Sender)
	found := squatter{id.Sender, id.MAC, p.link.Name, now}
	if !mayOwn(b, id.MAC) && p.network.squatters.note(found) {
		f.log.Warn(found.describe(s, b), "network", s.config.Name)
	}
}

// probeGateway asks behind a network's uplinks who has the gateway's address, so that a squatter is found at the start.
func (f *Fabric) probeGateway(n *network) {
	gateway := n.config().Gateway
	if !gateway.IsValid() || !n.seesAllARP() {
		return
	}
	var probes []wire.Frame
	for _, p := range n.uplinks(f.interfaces) {
		from := p.facts.HostMAC
		if from == (registry.MAC{}) {
			from = p.facts.MAC
		}
		data := make([]byte, responder.MinFrameLen)
		responder.WriteProbe(data, gateway, from)
		probes = append(probes, wire.Frame{Port: p.link.Index, Data: p.tagged(data)})
	}
	if len(probes) == 0 {
		return
	}
	if err := f.announceTo(n, probes); err != nil {
		f.log.Error("cannot ask behind the uplinks for the gateway", "network", n.config().Name, "error", err)
	}
}
