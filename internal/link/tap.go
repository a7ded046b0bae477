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
// MACs of guests that are behind other ports. The TAP's own MAC is made a high one, as a bridge whose MAC
// nobody has set takes the lowest one of its members.
func PlugTAP(tap, bridge string) error {
	t, err := netlink.LinkByName(tap)
	if err != nil {
		return fmt.Errorf("%s: %w", tap, err)
	}
	b, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("%s: %w", bridge, err)
	}
	mac := slices.Clone(t.Attrs().HardwareAddr)
	mac[0] = highestUnicast
	if err := netlink.LinkSetHardwareAddr(t, mac); err != nil {
		return fmt.Errorf("setting the MAC of %s: %w", tap, err)
	}
	if err := netlink.LinkSetMaster(t, b); err != nil {
		return fmt.Errorf("putting %s into %s: %w", tap, bridge, err)
	}
	if err := netlink.LinkSetLearning(t, false); err != nil {
		return fmt.Errorf("turning learning off on %s: %w", tap, err)
	}
	return nil
}

// highestUnicast is the highest first byte of a MAC that is no group's, locally administered.
const highestUnicast = 0xfe
