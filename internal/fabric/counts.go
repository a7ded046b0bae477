package fabric

import (
	"cmp"
	"slices"

	"github.com/arpfabric/arpfabric/responder"
)

// PortCounts is how often each reason was the verdict on a port.
type PortCounts struct {
	Network, Port string
	Reasons       map[responder.Reason]uint64 // without those that were not
}

// Counts returns the counts of all ports there are, by network and name. The host's own requests on a bridge
// are counted under the bridge's name.
func (f *Fabric) Counts() []PortCounts {
	var all []PortCounts
	for _, p := range f.ports.Load().all() {
		c := PortCounts{Network: p.network.config().Name, Port: p.link.Name, Reasons: map[responder.Reason]uint64{}}
		for reason := range p.counts {
			if n := p.counts[reason].Load(); n > 0 {
				c.Reasons[responder.Reason(reason)] = n
			}
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b PortCounts) int {
		return cmp.Or(cmp.Compare(a.Network, b.Network), cmp.Compare(a.Port, b.Port))
	})
	return all
}
