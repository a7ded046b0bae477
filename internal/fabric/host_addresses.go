package fabric

import (
	"errors"
	"net/netip"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// HostAddresses are the addresses of this machine's own stack in a network, which no guest may have.
type HostAddresses struct {
	Interface string
	MAC       registry.MAC
	Addresses []netip.Addr
}

// HostAddresses returns the addresses of the host's own stack in a network, as they are now: on the bridge, on the VLAN
// device on top of it, or on the interface that the network is attached to. It returns none before the network has
// started.
func (f *Fabric) HostAddresses(network string) (HostAddresses, error) {
	for _, n := range *f.running.Load() {
		own := n.own.Load()
		if n.config().Name != network || own == nil {
			continue
		}
		now := *own
		addrs, errAddrs := link.Addresses(now)
		mac, errMAC := link.MACOf(now)
		now.MAC = mac
		return HostAddresses{now.Name, macOf(now), addrs}, errors.Join(errAddrs, errMAC)
	}
	return HostAddresses{}, nil
}

// findOwn finds the interface of the host's own stack in the network.
func (n *network) findOwn(s link.Snapshot) {
	own, ok := s.Find(n.config().Attach.Device)
	if n.config().Attach.Kind == config.AttachBridge {
		own, ok = n.hostInterface(s)
	}
	if !ok {
		n.own.Store(nil)
		return
	}
	n.own.Store(&own)
}
