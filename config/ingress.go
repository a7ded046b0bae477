package config

import (
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// Port is a port of a network, with its properties on the machine. An unknown property is zero.
type Port struct {
	Name     string
	Kind     responder.PortKind
	MAC      registry.MAC // the interface's own MAC
	HostMAC  registry.MAC // the host's own MAC on the network's bridge
	Untagged bool         // the network's VLAN has no tag on this uplink
}

// Ingress describes how frames enter one network of a configuration.
type Ingress struct {
	Network Network // the network that decides about them
	responder.Ingress
}

// Ingress describes how frames enter by a port of the network.
func (n *Network) Ingress(p Port) responder.Ingress {
	a := n.Attach
	in := responder.Ingress{
		Port:      p.Name,
		Kind:      p.Kind,
		Trunk:     a.VLAN != 0 && p.Kind != responder.GuestPort && !p.Untagged,
		AllowList: a.InBridge() && n.Guard == GuardFull,
		HostMAC:   p.HostMAC,
		// At a TAP in a bridge, the host's requests arrive like guests'.
		CarriesHost: a.InBridge() && (p.Kind == responder.Host || a.Kind == AttachTAP),
	}
	switch {
	case p.Kind == responder.Uplink:
		// Switches behind the uplink learn the Ethernet source. The host's MAC is on this side of the uplink; the owner's
		// MAC may be behind it.
		in.Source = p.HostMAC
	case a.Kind == AttachInterface:
		in.Source = p.MAC
	case a.Kind == AttachTAP && !a.InBridge():
		// Not the TAP's own MAC: the switch that the TAP is plugged into takes a frame from it for one of its own.
		in.Source = DenyMAC
	case a.Kind == AttachSidecar && p.Kind == responder.GuestPort:
		in.Owner = p.MAC
	}
	return in
}
