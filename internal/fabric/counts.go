package fabric

import (
	"cmp"
	"slices"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/responder"
)

// PortCounts is a port, and how often each verdict was made on it.
type PortCounts struct {
	Network, Port string
	Kind          PortKind
	Index         int                          // ifindex
	MAC           responder.MAC                // the interface's own
	Verdicts      map[responder.Verdict]uint64 // without the lengths of answers, and those that were not

	// Refused is how many frames of the port were not on the guard's allow-list. The fabric sees samples of these,
	// and Verdicts has the samples alone.
	Refused uint64

	// Tallied says that Verdicts has what the kernel alone has seen, and that Refused is known.
	Tallied bool
}

// Reasons returns how often each reason was the verdict, without those that were not.
func (c *PortCounts) Reasons() map[responder.Reason]uint64 {
	reasons := map[responder.Reason]uint64{}
	for verdict, n := range c.Verdicts {
		reasons[verdict.Reason] += n
	}
	return reasons
}

// PortKind is who is behind a port.
type PortKind int

// The kinds of ports.
const (
	GuestPort PortKind = iota
	Uplink
	Host // the host's own stack, or that of a sidecar's guest
)

// GuestPorts returns how many of some ports are guest ports, by network.
func GuestPorts(ports []PortCounts) map[string]int {
	guests := map[string]int{}
	for _, p := range ports {
		if p.Kind == GuestPort {
			guests[p.Network]++
		}
	}
	return guests
}

// Counts returns the counts of all ports there are, by network and name. The host's own requests on a bridge
// are counted under the name of the interface that it asks on, the bridge or a VLAN device on top of it, and what a
// sidecar's guest asks under its interface's, with what others ask it.
//
// What the kernel alone has seen of a bridge's ports, Refused and the reason RateLimited, is counted by name from when
// the guard was installed, also over a port's lives. With a TAP it is not known, nor while the kernel does not say.
func (f *Fabric) Counts() []PortCounts {
	var all []PortCounts
	ports := f.ports.Load().all()
	tallies, tallied := f.tallies(ports)
	for _, p := range ports {
		c := p.read()
		if tallied && p.isGuarded() {
			c.add(tallies[p.link.Name])
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b PortCounts) int {
		return cmp.Or(cmp.Compare(a.Network, b.Network), cmp.Compare(a.Port, b.Port))
	})
	return addUp(all)
}

// read returns the port with the counts that the fabric has of it.
func (p *port) read() PortCounts {
	c := PortCounts{
		Network: p.network.config().Name, Port: p.link.Name, Kind: p.kind, Index: p.link.Index,
		Verdicts: map[responder.Verdict]uint64{},
	}
	copy(c.MAC[:], p.link.MAC)
	for reason := range p.counts {
		for action := range p.counts[reason] {
			if n := p.counts[reason][action].Load(); n > 0 {
				c.Verdicts[responder.Verdict{Action: responder.Action(action), Reason: responder.Reason(reason)}] = n
			}
		}
	}
	return c
}

// tallies reads what the kernel has counted of the ports that it guards. It returns false where it can't, or there are
// no such ports.
func (f *Fabric) tallies(ports []*port) (map[string]guard.Tally, bool) {
	if !slices.ContainsFunc(ports, (*port).isGuarded) {
		return nil, false
	}
	tallies, err := f.guard.Tallies()
	if err != nil {
		f.log.Error("can't count what the guard has dropped", "error", err)
	}
	return tallies, err == nil
}

// isGuarded reports whether the kernel may have dropped frames of the port that the fabric never saw.
func (p *port) isGuarded() bool {
	return p.network.config().Attach.SeesPorts() && p.kind == GuestPort
}

func (c *PortCounts) add(t guard.Tally) {
	c.Tallied = true
	c.Refused += t.Refused
	if t.Curbed > 0 {
		c.Verdicts[responder.Verdict{Action: responder.Drop, Reason: responder.RateLimited}] += t.Curbed
	}
}

// addUp makes one of counts that stand next to each other with the same network and port.
func addUp(all []PortCounts) []PortCounts {
	var sums []PortCounts
	for _, c := range all {
		n := len(sums)
		if n == 0 || sums[n-1].Network != c.Network || sums[n-1].Port != c.Port {
			sums = append(sums, c)
			continue
		}
		sums[n-1].Refused += c.Refused
		sums[n-1].Tallied = sums[n-1].Tallied || c.Tallied
		for verdict, count := range c.Verdicts {
			sums[n-1].Verdicts[verdict] += count
		}
	}
	return sums
}
