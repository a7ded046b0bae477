package fabric

import (
	"fmt"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// sidecarAttachment has one port, an interface of the network namespace that the fabric runs in. The namespace is the
// guest: its requests come from the host's stack, and the requests of others for it enter by the port.
type sidecarAttachment struct {
	network *network
	eth     *link.Link // the interface, or nil while it does not exist
}

func (a *sidecarAttachment) check(s link.Snapshot) error {
	name := a.network.config().Attach.Device
	l, ok := s.Find(name)
	switch {
	case !ok:
		return fmt.Errorf("there is no interface %s; `ip link` lists the interfaces", name)
	case s.IsBridge(s.MasterOf(name)):
		return fmt.Errorf("%s is a member of the bridge %s, so this network namespace is no guest on it; "+
			"attach to the bridge instead", name, s.MasterOf(name))
	case !hasMAC(l):
		return fmt.Errorf("%s has no MAC, so there is no ARP on it; name an Ethernet interface", name)
	}
	return nil
}

// hasMAC reports whether l is an Ethernet interface. The loopback interface is not: its MAC is all zeros.
func hasMAC(l link.Link) bool {
	return len(l.MAC) == len(registry.MAC{}) && registry.MAC(l.MAC).IsUnicast()
}

func (a *sidecarAttachment) reconcile(s link.Snapshot) ([]link.Link, error) {
	a.eth = nil
	l, ok := s.Find(a.network.config().Attach.Device)
	if !ok || !hasMAC(l) {
		return nil, nil
	}
	a.eth = &l
	return []link.Link{l}, nil
}

func (a *sidecarAttachment) plan(p *datapath.Plan) {
	if a.eth == nil {
		return
	}
	c := a.network.config()
	p.Sidecars = append(p.Sidecars, datapath.Sidecar{
		Interface: a.eth.Name,
		Index:     a.eth.Index,
		MAC:       a.eth.MAC,
		Addresses: addressesOf(registry.MAC(a.eth.MAC), c.Registry),
		Routes:    routesOf(registry.MAC(a.eth.MAC), c.Registry),
		Observed:  !a.network.guarded(),
		ARPOnly:   c.Guard == config.GuardARP,
		PassIPv6:  c.Policy.PassIPv6,
		RateLimit: c.RateLimit,
		Network:   a.network.plan("", []string{a.eth.Name}, datapath.HandOver),
	})
}

// addressesOf returns the addresses that a registry binds to a MAC, with adjacent ranges merged.
func addressesOf(mac registry.MAC, r *registry.Registry) []datapath.Range {
	var ranges []datapath.Range
	for b := range r.Owners() {
		if b.MAC != mac {
			continue
		}
		if n := len(ranges); n > 0 && b.First == ranges[n-1].Last.Next() {
			ranges[n-1].Last = b.Last
			continue
		}
		ranges = append(ranges, datapath.Range{First: b.First, Last: b.Last})
	}
	return ranges
}

// routesOf returns the routes of a MAC that is tied to no port.
func routesOf(mac registry.MAC, r *registry.Registry) []datapath.Range {
	var ranges []datapath.Range
	for route := range r.Routes() {
		if route.MAC == mac && route.Port == "" {
			ranges = append(ranges, datapath.Range{First: route.First, Last: route.Last})
		}
	}
	return ranges
}
