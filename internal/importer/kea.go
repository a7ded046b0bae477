package importer

import (
	"cmp"
	"net/netip"
)

func isKea(root *node) bool { return dhcp4(root) != nil }

// readKea reads the reservations in the configuration of kea-dhcp4: the global ones, those of each subnet, and those of
// the subnets in shared networks.
func (s *source) readKea(root *node) {
	dhcp := dhcp4(root)
	if dhcp == nil {
		s.leaveOut(root.line, "", "no Dhcp4 section; want the configuration of kea-dhcp4, or what config-get returns")
		return
	}
	s.addReservations(dhcp)
	s.readKeaSubnets(dhcp)
	for _, shared := range dhcp.list("shared-networks") {
		s.readKeaSubnets(shared)
	}
}

// dhcp4 returns the configuration of kea-dhcp4, or nil. root may be a configuration file, the answer to the command
// config-get, or the list that Kea's control agent wraps around such answers.
func dhcp4(root *node) *node {
	for _, n := range append([]*node{root}, root.items...) {
		if dhcp := cmp.Or(n.get("Dhcp4"), n.get("arguments").get("Dhcp4")); dhcp != nil {
			return dhcp
		}
	}
	return nil
}

// reportIncludes reports the files that a configuration includes.
func (s *source) reportIncludes(k *keaJSON) {
	lines := lineCounter{data: k.data}
	for _, include := range k.includes {
		s.ignore(lines.at(include.at), describe("include", include.file),
			"it may list more hosts; Kea's config-get returns them all")
	}
}

func (s *source) readKeaSubnets(parent *node) {
	for _, subnet := range parent.list("subnet4") {
		if prefix, err := netip.ParsePrefix(subnet.string("subnet")); err == nil {
			s.addSubnet(subnet.line, prefix, netip.Addr{})
		}
		s.addReservations(subnet)
	}
}

func (s *source) addReservations(parent *node) {
	for _, r := range parent.list("reservations") {
		address, mac, name := r.string("ip-address"), r.string("hw-address"), r.string("hostname")
		switch {
		case address == "":
			s.ignore(r.line, describe(mac, name), "no fixed address; Kea's leases show its current one")
		case mac == "":
			s.leaveOut(r.line, describe(address, name), "no hw-address; a binding needs one")
		default:
			s.addHost(r.line, address, mac, name)
		}
	}
}
