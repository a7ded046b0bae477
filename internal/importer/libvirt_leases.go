package importer

import (
	"path/filepath"
	"slices"
	"strings"
)

func isLibvirtLeases(root *node) bool { return slices.ContainsFunc(root.items, isLibvirtLease) }

func isLibvirtLease(n *node) bool { return n.get("mac-address") != nil && n.get("ip-address") != nil }

// readLibvirtLeases reads /var/lib/libvirt/dnsmasq/BRIDGE.status, a list of leases that libvirt keeps.
func (s *source) readLibvirtLeases(root *node) {
	for _, lease := range root.items {
		address, mac, name := lease.string("ip-address"), lease.string("mac-address"), lease.string("hostname")
		switch {
		case !isLibvirtLease(lease):
			s.leaveOut(lease.line, "", "want a lease with ip-address and mac-address")
		case s.hasExpired(lease.string("expiry-time")):
			s.ignore(lease.line, describe(address, name), "the lease has expired")
		default:
			s.within(s.onBridge(lease.line, s.bridgeOfStatus(), 0), func() {
				s.lasting(endOf(lease.string("expiry-time")), func() { s.addHost(lease.line, address, mac, name) })
			})
		}
	}
}

// bridgeOfStatus returns the bridge after which libvirt names the file, or "".
func (s *source) bridgeOfStatus() string {
	bridge, ok := strings.CutSuffix(filepath.Base(s.path), ".status")
	if !ok {
		return ""
	}
	return bridge
}
