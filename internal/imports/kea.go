package imports

import (
	"cmp"
	"net/netip"
)

// readKea reads the reservations in the configuration of kea-dhcp4: those for all subnets, those of each
// subnet, and those of the subnets in shared networks.
func (s *source) readKea(root *node) {
	dhcp := dhcp4(root)
	if dhcp == nil {
		s.leave(root.line, "", "there is no Dhcp4 in it: want the configuration of kea-dhcp4, or what config-get returns")
		return
	}
	s.takeReservations(dhcp)
	s.readKeaSubnets(dhcp)
	for _, shared := range dhcp.list("shared-networks") {
		s.readKeaSubnets(shared)
	}
}

// dhcp4 returns the configuration of kea-dhcp4, or nil. It is in a file of its own, in what the command config-get
// returns, or in the list that Kea's control agent makes of that.
func dhcp4(root *node) *node {
	for _, n := range append([]*node{root}, root.items...) {
		if dhcp := cmp.Or(n.get("Dhcp4"), n.get("arguments").get("Dhcp4")); dhcp != nil {
			return dhcp
		}
	}
	return nil
}

// nameIncludes names the files that a configuration includes.
func (s *source) nameIncludes(k *keaJSON) {
	lines := lineCounter{data: k.data}
	for _, include := range k.includes {
		s.passOver(lines.at(include.at), describe("include", include.file),
			"there may be more hosts there: what Kea's config-get returns has them all")
	}
}

func (s *source) readKeaSubnets(parent *node) {
	for _, subnet := range parent.list("subnet4") {
		if prefix, err := netip.ParsePrefix(subnet.string("subnet")); err == nil {
			s.networks = append(s.networks, network{Origin: s.at(subnet.line), subnet: prefix})
		}
		s.takeReservations(subnet)
	}
}

func (s *source) takeReservations(parent *node) {
	for _, r := range parent.list("reservations") {
		address, mac, name := r.string("ip-address"), r.string("hw-address"), r.string("hostname")
		switch {
		case address == "":
			s.passOver(r.line, describe(mac, name), "it has no fixed address: Kea's leases have the one that it got")
		case mac == "":
			s.leave(r.line, describe(address, name), "there is no hw-address, and a binding needs one")
		default:
			s.take(r.line, address, mac, name)
		}
	}
}
