package fabric

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// Located is a registered MAC with its location.
type Located struct {
	Network string
	MAC     registry.MAC
	Port    string
	Since   time.Time
	From    Evidence
	Host    string // the other host that it is behind; only with FromHost

	// Overrules is the revision of the remote that said otherwise before the MAC was seen at the port, or 0.
	Overrules uint64
}

func (n *network) located(mac registry.MAC, at location) Located {
	return Located{n.config().Name, mac, at.Port, at.since, at.from, at.host, at.overrules}
}

// Locations returns the locations of all registered MACs that have one, sorted by network, port and MAC.
func (f *Fabric) Locations() []Located {
	var all []Located
	for _, n := range *f.running.Load() {
		now := n.locations.Load()
		if now == nil {
			continue
		}
		for mac, at := range *now {
			all = append(all, n.located(mac, at))
		}
	}
	slices.SortFunc(all, func(a, b Located) int {
		return cmp.Or(cmp.Compare(a.Network, b.Network), cmp.Compare(a.Port, b.Port), bytes.Compare(a.MAC[:], b.MAC[:]))
	})
	return all
}

// Location returns the location of a MAC in a network, if it has one.
func (f *Fabric) Location(network string, mac registry.MAC) (Located, bool) {
	for _, n := range *f.running.Load() {
		if now := n.locations.Load(); now != nil && n.config().Name == network {
			at, ok := (*now)[mac]
			return n.located(mac, at), ok
		}
	}
	return Located{}, false
}
