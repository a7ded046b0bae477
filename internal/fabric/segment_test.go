package fabric

import (
	"net"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
)

// TestTwoSidecars checks that a guest's request on one of two interfaces belongs to the network of that interface.
func TestTwoSidecars(t *testing.T) {
	all := newPorts()
	for i, name := range []string{"eth0", "eth1"} {
		n := newNetwork(config.Network{Name: name, Attach: config.Attachment{Kind: config.AttachSidecar, Device: name}})
		eth := link.Link{Name: name, Index: i + 1, MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(i)}}
		all.byIndex[eth.Index] = n.newPort(eth, responder.GuestPort)
		all.hosts[n.segment()] = n.newPort(eth, responder.Host)
	}
	for i, name := range []string{"eth0", "eth1"} {
		p := all.from(wire.Frame{Port: i + 1, FromHost: true})
		if p == nil || p.network.config().Name != name || p.in.Kind != responder.Host {
			t.Errorf("on %s: %+v", name, p)
		}
	}
}
