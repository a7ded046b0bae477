package fabric

import (
	"fmt"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
)

// interfaceAttachment has one port, an interface that leads to the guests. It answers only: there is no
// place to guard.
type interfaceAttachment struct {
	network *network
	conn    *wire.Packet
	bound   int // ifindex that conn reads from
}

func (a *interfaceAttachment) check(s link.Snapshot) error {
	name := a.network.config().Attach.Interface
	l, ok := s.Find(name)
	if !ok {
		return fmt.Errorf("there is no interface %s; `ip link` lists those there are", name)
	}
	if master := s.MasterOf(l.Name); s.IsBridge(master) {
		return fmt.Errorf("%s is a member of the bridge %s, which takes all its frames; attach to the bridge instead", name, master)
	}
	return nil
}

func (a *interfaceAttachment) open(s link.Snapshot) (wire.Conn, error) {
	l, _ := s.Find(a.network.config().Attach.Interface)
	conn, err := wire.OpenInterface(l.Index)
	if err != nil {
		return nil, err
	}
	a.conn, a.bound = conn, l.Index
	return conn, nil
}

func (a *interfaceAttachment) follow(s link.Snapshot) ([]link.Link, error) {
	l, ok := s.Find(a.network.config().Attach.Interface)
	if !ok {
		return nil, nil
	}
	addrs, err := link.Addresses(l)
	if err != nil {
		return nil, err
	}
	a.network.leaveToHost(addrs)
	if l.Index != a.bound { // deleted, and made anew
		if err := a.conn.Bind(l.Index); err != nil {
			return nil, err
		}
		a.bound = l.Index
	}
	return []link.Link{l}, nil
}

func (a *interfaceAttachment) plan(*guard.Plan) {}
