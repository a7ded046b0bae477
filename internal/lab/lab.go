package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// AddBridge makes a bridge, up, without an address. Spanning tree is off: ports forward at once.
func AddBridge(name string) error {
	b := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
	if err := netlink.LinkAdd(b); err != nil {
		return fmt.Errorf("adding bridge %s: %w", name, err)
	}
	return netlink.LinkSetUp(b)
}

// SetMaster makes an interface a member of a bridge.
func SetMaster(port, bridge string) error {
	p, err := netlink.LinkByName(port)
	if err != nil {
		return fmt.Errorf("%s: %w", port, err)
	}
	b, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("%s: %w", bridge, err)
	}
	return netlink.LinkSetMaster(p, b)
}

// ClearMaster takes an interface out of its bridge.
func ClearMaster(port string) error {
	p, err := netlink.LinkByName(port)
	if err != nil {
		return fmt.Errorf("%s: %w", port, err)
	}
	return netlink.LinkSetNoMaster(p)
}

// FilterVLANs makes a bridge keep VLANs apart, or stop to.
func FilterVLANs(bridge string, on bool) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge // alone: what else the bridge is can't be set while it is up
	if err := netlink.BridgeSetVlanFiltering(&netlink.Bridge{LinkAttrs: attrs}, on); err != nil {
		return fmt.Errorf("switching VLAN filtering of %s: %w", bridge, err)
	}
	return nil
}

// JoinVLAN adds a VLAN to a port, a member of a bridge that filters VLANs, or, with the name of the bridge, to the
// host. It is tagged there, or, where access is set, the VLAN of the port's untagged frames from now on.
func JoinVLAN(port string, vlan uint16, access bool) error {
	p, err := netlink.LinkByName(port)
	if err != nil {
		return fmt.Errorf("%s: %w", port, err)
	}
	return netlink.BridgeVlanAdd(p, vlan, access, access, p.Type() == "bridge", false)
}

// LeaveVLAN takes a VLAN from a port, or from the host.
func LeaveVLAN(port string, vlan uint16) error {
	p, err := netlink.LinkByName(port)
	if err != nil {
		return fmt.Errorf("%s: %w", port, err)
	}
	return netlink.BridgeVlanDel(p, vlan, false, false, p.Type() == "bridge", false)
}

// AddVLANDevice adds an interface, up, that tags what it sends by another one, and gets what arrives there with
// that tag.
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

// AddAddress gives an interface an address.
func AddAddress(name string, addr netip.Prefix) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return netlink.AddrAdd(l, &netlink.Addr{IPNet: ipNet(addr)})
}

// DeleteLink deletes an interface; it is no error if there is none.
func DeleteLink(name string) error {
	l, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(l)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
