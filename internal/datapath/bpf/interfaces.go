package bpf

import (
	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
)

// socketsOf returns the sockets by which the fabric reads the ARP of interfaces.
func socketsOf(p datapath.Plan, s link.Snapshot) map[uint32]*wire.Packet {
	sockets := map[uint32]*wire.Packet{}
	for _, i := range p.Interfaces {
		for _, name := range i.Guests {
			if l, ok := s.Find(name); ok {
				sockets[uint32(l.Index)] = i.Socket
			}
		}
	}
	return sockets
}

// followInterfaces takes over the interfaces of a plan. The fabric reads all ARP of those that are no longer in it.
func (d *Datapath) followInterfaces(sockets map[uint32]*wire.Packet) {
	before := d.sockets
	d.sockets = sockets
	for index, socket := range before {
		if sockets[index] != socket {
			readAll(socket)
		}
	}
}

// filterSocket keeps what the program answers on an interface from the fabric, which would answer it, too: the socket
// sees frames before the program does.
func (d *Datapath) filterSocket(port uint32) error {
	socket := d.sockets[port]
	switch {
	case socket == nil:
		return nil
	case d.refused[port] != nil: // it may have had the program before
		readAll(socket)
		return nil
	}
	return socket.Filter(d.program.Unanswered.FD())
}

// readAll lets the fabric read all ARP of an interface again, because no program answers a part of it any more.
func readAll(socket *wire.Packet) {
	_ = socket.FilterARP() // it can't fail on an open socket, and a closed one reads nothing
}
