package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Neighbors writes entries of the host's neighbour tables (ip-neighbour(8)). An entry that it has set goes
// stale as one that the kernel resolved would; the kernel asks again when it is used after that.
type Neighbors struct {
	handle *netlink.Handle
}

// OpenNeighbors opens the netlink socket.
func OpenNeighbors() (*Neighbors, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for neighbours: %w", err)
	}
	return &Neighbors{handle: handle}, nil
}

// Close closes the socket. Entries stay.
func (n *Neighbors) Close() { n.handle.Close() }

// Set says where addr is, on the interface with that ifindex. Packets that wait for it leave. Where the kernel has no
// entry, because it doesn't look for addr, or it is the administrator's (permanent, or noarp), nothing changes.
func (n *Neighbors) Set(ifindex int, addr netip.Addr, mac net.HardwareAddr) error {
	return n.write(ifindex, addr, mac, unix.NUD_REACHABLE)
}

// Fail says that addr is nowhere. Packets that wait for it fail at once, with "no route to host". Where Set would change
// nothing, so does Fail.
func (n *Neighbors) Fail(ifindex int, addr netip.Addr) error {
	return n.write(ifindex, addr, nil, unix.NUD_FAILED)
}

func (n *Neighbors) write(ifindex int, addr netip.Addr, mac net.HardwareAddr, state int) error {
	wanted, err := isResolved(ifindex, addr)
	if err == nil && wanted {
		err = n.handle.NeighSet(entry(ifindex, addr, mac, state))
	}
	if err != nil {
		return fmt.Errorf("writing the neighbour entry of %s: %w", addr, err)
	}
	return nil
}

// administered are the states of entries that the administrator has made: the kernel never asks for these.
const administered = unix.NUD_PERMANENT | unix.NUD_NOARP

// isResolved reports whether the kernel has an entry that it resolves by itself. It asks for the one: a list of all would
// take long where there are many.
func isResolved(ifindex int, addr netip.Addr) (bool, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	request.AddData(&netlink.Ndmsg{Family: unix.AF_INET, Index: uint32(ifindex)})
	request.AddData(nl.NewRtAttr(unix.NDA_DST, addr.AsSlice()))
	answers, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), err == nil && len(answers) == 0:
		return false, nil
	case err != nil:
		return false, err
	}
	entry, err := netlink.NeighDeserialize(answers[0])
	return err == nil && entry.State&administered == 0, err
}

// Learned returns the MACs that the host has for its neighbours on an interface, without the administrator's entries.
func (n *Neighbors) Learned(ifindex int) (map[netip.Addr]net.HardwareAddr, error) {
	entries, err := n.list(ifindex)
	learned := map[netip.Addr]net.HardwareAddr{}
	for _, e := range entries {
		addr, ok := netip.AddrFromSlice(e.IP.To4())
		if ok && len(e.HardwareAddr) > 0 && e.State&administered == 0 {
			learned[addr] = e.HardwareAddr
		}
	}
	return learned, err
}

func (n *Neighbors) list(ifindex int) ([]netlink.Neigh, error) {
	entries, err := n.handle.NeighList(ifindex, unix.AF_INET)
	for errors.Is(err, netlink.ErrDumpInterrupted) { // something changed meanwhile
		entries, err = n.handle.NeighList(ifindex, unix.AF_INET)
	}
	if err != nil {
		return nil, fmt.Errorf("listing neighbours: %w", err)
	}
	return entries, nil
}

// Delete takes the entry of addr away. One that isn't there, or that the administrator has made, is left as it is.
func (n *Neighbors) Delete(ifindex int, addr netip.Addr) error {
	own, err := isResolved(ifindex, addr)
	if err == nil && own {
		err = n.handle.NeighDel(entry(ifindex, addr, nil, unix.NUD_NONE))
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("deleting the neighbour entry of %s: %w", addr, err)
	}
	return nil
}

func entry(ifindex int, addr netip.Addr, mac net.HardwareAddr, state int) *netlink.Neigh {
	return &netlink.Neigh{
		LinkIndex:    ifindex,
		Family:       unix.AF_INET,
		State:        state,
		IP:           addr.AsSlice(),
		HardwareAddr: mac,
	}
}
