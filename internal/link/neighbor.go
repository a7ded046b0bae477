package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
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

// Set says where addr is, on the interface with that ifindex. Packets that wait for it leave.
func (n *Neighbors) Set(ifindex int, addr netip.Addr, mac net.HardwareAddr) error {
	return n.write(ifindex, addr, mac, unix.NUD_REACHABLE)
}

// Fail says that addr is nowhere. Packets that wait for it fail at once, with "no route to host".
func (n *Neighbors) Fail(ifindex int, addr netip.Addr) error {
	return n.write(ifindex, addr, nil, unix.NUD_FAILED)
}

func (n *Neighbors) write(ifindex int, addr netip.Addr, mac net.HardwareAddr, state int) error {
	err := n.handle.NeighSet(entry(ifindex, addr, mac, state))
	if err != nil {
		return fmt.Errorf("writing the neighbour entry of %s: %w", addr, err)
	}
	return nil
}

// Delete takes the entry of addr away. One that isn't there, or that the administrator has made permanent,
// is left as it is.
func (n *Neighbors) Delete(ifindex int, addr netip.Addr) error {
	entries, err := n.handle.NeighList(ifindex, unix.AF_INET)
	if err != nil {
		return fmt.Errorf("listing neighbours: %w", err)
	}
	for _, e := range entries {
		if a, ok := netip.AddrFromSlice(e.IP.To4()); !ok || a != addr || e.State&unix.NUD_PERMANENT != 0 {
			continue
		}
		if err := n.handle.NeighDel(&e); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("deleting the neighbour entry of %s: %w", addr, err)
		}
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
