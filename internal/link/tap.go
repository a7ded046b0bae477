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

// PlugTAP makes the fabric's TAP a member of a bridge that does not learn from it: answers carry the
// MACs of guests that are behind other ports. It leaves the TAP down, so that no answer goes there before.
func PlugTAP(tap, bridge string) error {
	t, err := netlink.LinkByName(tap)
	if err != nil {
		return fmt.Errorf("%s: %w", tap, err)
	}
	b, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("%s: %w", bridge, err)
	}
	if err := netlink.LinkSetDown(t); err != nil {
		return fmt.Errorf("setting %s down: %w", tap, err)
	}
	if err := standBack(t, b); err != nil {
		return err
	}
	if err := netlink.LinkSetMaster(t, b); err != nil {
		return fmt.Errorf("putting %s into %s: %w", tap, bridge, err)
	}
	if err := netlink.LinkSetLearning(t, false); err != nil {
		return fmt.Errorf("turning learning off on %s: %w", tap, err)
	}
	return nil
}

// standBack lets the bridge keep its MAC and its MTU: where nobody has set them, it takes the lowest ones of
// its members.
func standBack(tap, bridge netlink.Link) error {
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

// highestUnicast is the highest first byte of a MAC that is no group's, locally administered.
const highestUnicast = 0xfe
