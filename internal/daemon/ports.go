package daemon

import (
	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

var portKinds = map[responder.PortKind]api.PortKind{
	responder.GuestPort: api.GuestPort, responder.Uplink: api.Uplink, responder.Host: api.Host,
}

// Ports implements [api.Fabric].
func (d *daemon) Ports() []api.Port {
	all, behind := []api.Port{}, macsBehind(d.fabric.Locations(), d.fabric.Config().Networks)
	for _, p := range d.fabric.Counts() {
		port := api.Port{
			Network: p.Network, Name: p.Port, Index: p.Index, Kind: portKinds[p.Kind], MAC: p.MAC.String(),
			Reasons: map[string]uint64{}, Refused: p.Refused, LastSeen: timeOrNil(p.LastSeen),
			MACs: behind[portOf{p.Network, p.Port}],
		}
		addReasons(port.Reasons, p)
		all = append(all, port)
	}
	return all
}

type portOf struct{ network, port string }

// macsBehind returns the MACs behind each port, with their addresses.
func macsBehind(locations []fabric.Located, networks []config.Network) map[portOf][]api.LocatedMAC {
	guests := map[string]map[registry.MAC]*api.LocatedMAC{} // by network
	for _, l := range locations {
		if guests[l.Network] == nil {
			guests[l.Network] = map[registry.MAC]*api.LocatedMAC{}
		}
		guests[l.Network][l.MAC] = &api.LocatedMAC{MAC: l.MAC.String(), Since: l.Since, From: string(l.From)}
	}
	for _, n := range networks {
		if len(guests[n.Name]) > 0 {
			addAddresses(guests[n.Name], n.Registry)
		}
	}
	behind := map[portOf][]api.LocatedMAC{}
	for _, l := range locations {
		at := portOf{l.Network, l.Port}
		if len(behind[at]) < api.MaxPortMACs {
			behind[at] = append(behind[at], *guests[l.Network][l.MAC])
		}
	}
	return behind
}

// addAddresses adds the addresses that are bound to MACs. One that moves between MACs is its holder's.
func addAddresses(guests map[registry.MAC]*api.LocatedMAC, r *registry.Registry) {
	for b := range r.All() {
		m := guests[b.MAC]
		if m == nil {
			continue
		}
		if !b.IsAlone() && len(m.Addresses) < api.MaxMACAddresses {
			m.Addresses = append(m.Addresses, b.Addresses())
		}
		if m.Name == "" {
			m.Name = b.Name
		}
	}
}
