package fabric

import (
	"fmt"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
)

// interfaceAttachment has one port, an interface that leads to the guests. The fabric only answers there. It cannot
// guard, because frames between guests do not pass this host.
type interfaceAttachment struct {
	network *network
	conn    *wire.Packet
	bound   int // ifindex of the interface that conn reads from
	isThere bool
}

func (a *interfaceAttachment) check(s link.Snapshot) error {
	name := a.network.config().Attach.Device
	l, ok := s.Find(name)
	if !ok {
		return fmt.Errorf("there is no interface %s; `ip link` lists the interfaces", name)
	}
	if master := s.MasterOf(l.Name); s.IsBridge(master) {
		return fmt.Errorf("%s is a member of the bridge %s, which takes all its frames; attach to the bridge instead", name, master)
	}
	return nil
}

func (a *interfaceAttachment) open(s link.Snapshot) (wire.Conn, error) {
	l, _ := s.Find(a.network.config().Attach.Device)
	conn, err := wire.OpenInterface(l.Index)
	if err != nil {
		return nil, err
	}
	a.conn, a.bound = conn, l.Index
	return conn, nil
}

func (a *interfaceAttachment) reconcile(s link.Snapshot) ([]link.Link, error) {
	l, _ := s.Find(a.network.config().Attach.Device)
	a.isThere = a.check(s) == nil
	if !a.isThere { // it is gone, or a bridge has it now, whose network decides about its frames
		return nil, nil
	}
	addrs, err := link.Addresses(l)
	if err != nil {
		return nil, err
	}
	a.network.setHostAddresses(addrs)
	if l.Index != a.bound { // it was deleted and made again
		if err := a.conn.Bind(l.Index); err != nil {
			return nil, err
		}
		a.bound = l.Index
	}
	return []link.Link{l}, nil
}

func (a *interfaceAttachment) plan(p *datapath.Plan) {
	c := a.network.config()
	if a.network.settings.Load().answers && a.isThere {
		n := a.network.plan("", []string{c.Attach.Device}, datapath.HandOver)
		p.Interfaces = append(p.Interfaces, datapath.Interface{Network: n, Socket: a.conn})
	}
}
