package fabric

import (
	"net"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
)

// TestTwoSidecars holds that what a guest asks on one of two interfaces is asked in the network of that one.
func TestTwoSidecars(t *testing.T) {
	all := newPorts()
	for i, name := range []string{"eth0", "eth1"} {
		n := newNetwork(config.Network{Name: name, Attach: config.Attachment{Sidecar: name}})
		eth := link.Link{Name: name, Index: i + 1, MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(i)}}
		all.add(n, eth, newPorts())
		all.addHost(n, eth, newPorts())
	}
	for i, name := range []string{"eth0", "eth1"} {
		p := all.from(wire.Frame{Port: i + 1, FromHost: true})
		if p == nil || p.network.config().Name != name || p.kind != Host {
			t.Errorf("on %s: %+v", name, p)
		}
	}
}
