package fabric

import (
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// hostDevices are the interfaces by which the host's own stack sends: those of its ports, and the macvlans on top of
// these. The kernel waits for an answer on the interface that it has asked by. The zero value has none.
type hostDevices struct {
	byIndex map[int]*port      // the port that the interface sends by, by ifindex
	macvlan map[macvlanMAC]int // ifindex
}

// A macvlanMAC identifies a macvlan by its MAC. MACs are unique on one lower interface.
type macvlanMAC struct {
	lower int // ifindex of the port
	mac   registry.MAC
}

// devicesOf returns the interfaces of the host's ports, and those on top of them.
func devicesOf(ports []*port, s link.Snapshot) hostDevices {
	d := hostDevices{map[int]*port{}, map[macvlanMAC]int{}}
	for _, p := range ports {
		d.byIndex[p.link.Index] = p
		for _, l := range s.Macvlans(p.link) {
			d.byIndex[l.Index] = p
			d.macvlan[macvlanMAC{p.link.Index, macOf(l)}] = l.Index
		}
	}
	return d
}

// of returns the ifindex of the interface with a MAC that has sent a request by a port of the host. It returns false if
// there is none in the host's network namespace. In a sidecar, the port's interface is taken for the sender of all others.
func (d hostDevices) of(p *port, mac registry.MAC) (ifindex int, ok bool) {
	if ifindex, ok := d.macvlan[macvlanMAC{p.link.Index, mac}]; ok {
		return ifindex, true
	}
	return p.link.Index, !p.in.CarriesHost || mac == p.in.HostMAC
}
