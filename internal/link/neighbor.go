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

// Neighbors writes entries of the host's neighbour table (ip-neighbour(8)). An entry that it sets becomes stale, as one
// that the kernel has resolved does. The kernel then sends a request the next time the entry is used.
type Neighbors struct {
	handle *netlink.Handle
}

// OpenNeighbors opens a netlink socket. Writing entries needs CAP_NET_ADMIN.
func OpenNeighbors() (*Neighbors, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for neighbours: %w", err)
	}
	return &Neighbors{handle: handle}, nil
}

// Close closes the socket. It does not change any entry.
func (n *Neighbors) Close() { n.handle.Close() }

// Set makes mac the MAC of addr on the interface with that ifindex. Packets that wait for the entry leave. Set changes
// nothing if the kernel has no entry, because no packet needs one, or if the entry is permanent or noarp.
func (n *Neighbors) Set(ifindex int, addr netip.Addr, mac net.HardwareAddr) error {
	return n.write(ifindex, addr, mac, unix.NUD_REACHABLE)
}

// Fail marks the entry of addr as failed. Packets that wait for it fail at once, with "no route to host". Fail changes
// nothing in the cases in which Set changes nothing.
func (n *Neighbors) Fail(ifindex int, addr netip.Addr) error {
	return n.write(ifindex, addr, nil, unix.NUD_FAILED)
}

func (n *Neighbors) write(ifindex int, addr netip.Addr, mac net.HardwareAddr, state int) error {
	wanted, err := isDynamic(ifindex, addr)
	if err == nil && wanted {
		err = n.handle.NeighSet(entry(ifindex, addr, mac, state))
	}
	if err != nil {
		return fmt.Errorf("writing the neighbour entry of %s: %w", addr, err)
	}
	return nil
}

// static are the states of entries that the kernel never resolves: the administrator has made these.
const static = unix.NUD_PERMANENT | unix.NUD_NOARP

// isDynamic reports whether the kernel has an entry that it resolves by ARP. It reads only this entry: reading the
// whole table takes long if there are many.
func isDynamic(ifindex int, addr netip.Addr) (bool, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	request.AddData(&netlink.Ndmsg{Family: unix.AF_INET, Index: uint32(ifindex)})
	request.AddData(nl.NewRtAttr(unix.NDA_DST, addr.AsSlice()))
	entry, err := getNeighbor(request)
	return err == nil && entry != nil && entry.State&static == 0, err
}

// Learned returns the MACs in the host's neighbour entries on an interface, by address, except permanent and noarp
// entries.
func (n *Neighbors) Learned(ifindex int) (map[netip.Addr]net.HardwareAddr, error) {
	entries, err := n.list(ifindex)
	learned := map[netip.Addr]net.HardwareAddr{}
	for _, e := range entries {
		addr, ok := netip.AddrFromSlice(e.IP.To4())
		if ok && len(e.HardwareAddr) > 0 && e.State&static == 0 {
			learned[addr] = e.HardwareAddr
		}
	}
	return learned, err
}

func (n *Neighbors) list(ifindex int) ([]netlink.Neigh, error) {
	entries, err := n.handle.NeighList(ifindex, unix.AF_INET)
	for errors.Is(err, netlink.ErrDumpInterrupted) { // the table changed during the dump
		entries, err = n.handle.NeighList(ifindex, unix.AF_INET)
	}
	if err != nil {
		return nil, fmt.Errorf("listing neighbours: %w", err)
	}
	return entries, nil
}

// Delete deletes the entry of addr. It does nothing if there is none, or if it is permanent or noarp.
func (n *Neighbors) Delete(ifindex int, addr netip.Addr) error {
	dynamic, err := isDynamic(ifindex, addr)
	if err == nil && dynamic {
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
