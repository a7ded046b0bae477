package labtest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ClearMaster removes an interface from its bridge.
func ClearMaster(port string) error {
	p, err := netlink.LinkByName(port)
	if err != nil {
		return fmt.Errorf("%s: %w", port, err)
	}
	return netlink.LinkSetNoMaster(p)
}

// AddAddress adds an address to an interface.
func AddAddress(name string, addr netip.Prefix) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	ip := &net.IPNet{IP: addr.Addr().AsSlice(), Mask: net.CIDRMask(addr.Bits(), addr.Addr().BitLen())}
	return netlink.AddrAdd(l, &netlink.Addr{IPNet: ip})
}

// FilterVLANs turns VLAN filtering of a bridge on or off.
func FilterVLANs(bridge string, on bool) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge // alone: the kernel rejects other attributes while the bridge is up
	if err := netlink.BridgeSetVlanFiltering(&netlink.Bridge{LinkAttrs: attrs}, on); err != nil {
		return fmt.Errorf("switching VLAN filtering of %s: %w", bridge, err)
	}
	return nil
}

// JoinVLAN adds a VLAN to a member of a bridge that filters VLANs, or, with the name of the bridge, to the host. Frames
// of the VLAN are tagged there. If access is true, they are untagged, and untagged frames from there belong to the
// VLAN.
func JoinVLAN(port string, vlan uint16, access bool) error {
	p, err := netlink.LinkByName(port)
	if err != nil {
		return fmt.Errorf("%s: %w", port, err)
	}
	return netlink.BridgeVlanAdd(p, vlan, access, access, p.Type() == "bridge", false)
}

// LeaveVLAN removes a VLAN from a member of a bridge, or, with the name of the bridge, from the host.
func LeaveVLAN(port string, vlan uint16) error {
	p, err := netlink.LinkByName(port)
	if err != nil {
		return fmt.Errorf("%s: %w", port, err)
	}
	return netlink.BridgeVlanDel(p, vlan, false, false, p.Type() == "bridge", false)
}

// AddVLANDevice adds a VLAN device on top of an interface, and sets it up.
func AddVLANDevice(name, parent string, vlan uint16) error {
	p, err := netlink.LinkByName(parent)
	if err != nil {
		return fmt.Errorf("%s: %w", parent, err)
	}
	device := &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: name, ParentIndex: p.Attrs().Index}, VlanId: int(vlan)}
	if err := netlink.LinkAdd(device); err != nil {
		return fmt.Errorf("adding VLAN device %s: %w", name, err)
	}
	return netlink.LinkSetUp(device)
}

// Neighbors returns the MACs in a guest's neighbour table, by address.
func Neighbors(g *lab.Guest) (map[netip.Addr]net.HardwareAddr, error) {
	known := map[netip.Addr]net.HardwareAddr{}
	err := g.Do(func() error {
		entries, err := netlink.NeighList(0, unix.AF_INET)
		for _, e := range entries {
			if addr, ok := netip.AddrFromSlice(e.IP.To4()); ok && len(e.HardwareAddr) > 0 && e.State != unix.NUD_NOARP {
				known[addr] = e.HardwareAddr
			}
		}
		return err
	})
	return known, err
}

// ForgetNeighbors empties a guest's neighbour table.
func ForgetNeighbors(g *lab.Guest) error {
	return g.Do(func() error {
		entries, err := netlink.NeighList(0, unix.AF_INET)
		for _, e := range entries {
			if e.State != unix.NUD_NOARP {
				err = errors.Join(err, netlink.NeighDel(&e))
			}
		}
		return err
	})
}

// ListensUDP reports whether a socket of the host is bound to a UDP port.
func ListensUDP(t testing.TB, port int) bool {
	t.Helper()
	sockets, err := os.ReadFile("/proc/thread-self/net/udp")
	Must(t, err)
	return strings.Contains(string(sockets), fmt.Sprintf(":%04X 00000000:0000", port))
}
