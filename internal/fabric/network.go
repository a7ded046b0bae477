package fabric

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
)

// network is a network of the configuration as it runs.
type network struct {
	config.Network
	attachment attachment
	responder  atomic.Pointer[responder.Responder]
}

// An attachment is how a network's guests are reached. Only the goroutine that follows the interfaces
// calls it once the fabric runs.
type attachment interface {
	// check says what the machine lacks for the network to start.
	check(s link.Snapshot) error

	// follow adapts to the interfaces as they are now, and returns the network's ports. It returns them
	// also where it could not do all that it should.
	follow(s link.Snapshot) ([]link.Link, error)

	// plan adds the network to the guard's plan.
	plan(p *guard.Plan)
}

// An opener is an attachment with a Conn of its own; all others share one.
type opener interface {
	open(s link.Snapshot) (wire.Conn, error)
}

func newNetwork(c config.Network) *network {
	n := &network{Network: c}
	n.responder.Store(responder.New(c.Registry, c.Policy))
	switch a := c.Attach; {
	case a.TAP != "":
		n.attachment = &tapAttachment{network: n}
	case a.Interface != "":
		n.attachment = &interfaceAttachment{network: n}
	default:
		n.attachment = &bridgeAttachment{network: n}
	}
	return n
}

// answers reports whether the network's replies leave; in classic mode they are only counted.
func (n *network) answers() bool { return n.Mode == config.VPC }

// guarded reports whether the kernel keeps guests' ARP from crossing the bridge.
func (n *network) guarded() bool { return n.Mode == config.VPC && n.Guard != config.GuardNone }

// leaveToHost makes the responder leave these addresses to the host's kernel.
func (n *network) leaveToHost(addrs []netip.Addr) {
	if slices.Equal(n.Policy.Host, addrs) {
		return
	}
	n.Policy.Host = addrs
	n.responder.Store(responder.New(n.Registry, n.Policy))
}

// problem says of which network err is; nil stays nil.
func (n *network) problem(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("network %s: %w", n.Name, err)
}
