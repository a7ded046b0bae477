package cni

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// setAddress gives an interface in a network namespace an address, and a default route if there is a gateway.
func setAddress(namespace, ifName string, addr netip.Prefix, gateway netip.Addr) error {
	ns, err := netns.GetFromPath(namespace)
	if err != nil {
		return fmt.Errorf("opening %s: %w", namespace, err)
	}
	defer ns.Close()
	inside, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("entering %s: %w", namespace, err)
	}
	defer inside.Close()
	link, err := inside.LinkByName(ifName)
	if err != nil {
		return fmt.Errorf("finding %s: %w", ifName, err)
	}
	parsed, err := netlink.ParseAddr(addr.String())
	if err != nil {
		return err
	}
	if err := inside.AddrReplace(link, parsed); err != nil {
		return fmt.Errorf("adding the address: %w", err)
	}
	if err := inside.LinkSetUp(link); err != nil {
		return fmt.Errorf("setting %s up: %w", ifName, err)
	}
	if !gateway.IsValid() {
		return nil
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()}
	if err := inside.RouteReplace(route); err != nil {
		return fmt.Errorf("adding the default route by %s: %w", gateway, err)
	}
	return nil
}
