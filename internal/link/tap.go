package link

import (
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
)

// Up sets an interface up.
func Up(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("setting %s up: %w", name, err)
	}
	return nil
}

// AddTAPToBridge makes the fabric's TAP a member of a bridge, with learning off on it: answers that enter the bridge
// there carry the MACs of guests behind other ports. It leaves the TAP down.
func AddTAPToBridge(tap, bridge string) error {
	t, err := netlink.LinkByName(tap)
	if err != nil {
		return fmt.Errorf("%s: %w", tap, err)
	}
	b, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("%s: %w", bridge, err)
	}
	// The TAP is down until learning is off, so that no answer teaches the bridge a wrong port.
	if err := netlink.LinkSetDown(t); err != nil {
		return fmt.Errorf("setting %s down: %w", tap, err)
	}
	if err := keepBridgeAttributes(t, b); err != nil {
		return err
	}
	if err := netlink.LinkSetMaster(t, b); err != nil {
		return fmt.Errorf("adding %s to the bridge %s: %w", tap, bridge, err)
	}
	if err := netlink.LinkSetLearning(t, false); err != nil {
		return fmt.Errorf("turning learning off on %s: %w", tap, err)
	}
	return nil
}

// keepBridgeAttributes gives the TAP a MAC and an MTU with which the bridge keeps its own. A bridge whose MAC and MTU
// nobody has set takes the lowest ones of its members.
func keepBridgeAttributes(tap, bridge netlink.Link) error {
	mac := slices.Clone(tap.Attrs().HardwareAddr)
	mac[0] = highestUnicast
	if err := netlink.LinkSetHardwareAddr(tap, mac); err != nil {
		return fmt.Errorf("setting the MAC of %s: %w", tap.Attrs().Name, err)
	}
	if err := netlink.LinkSetMTU(tap, bridge.Attrs().MTU); err != nil {
		return fmt.Errorf("setting the MTU of %s: %w", tap.Attrs().Name, err)
	}
	return nil
}

// highestUnicast is the highest first byte of a unicast MAC. Such a MAC is locally administered.
const highestUnicast = 0xfe
