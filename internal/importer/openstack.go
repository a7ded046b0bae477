package importer

import (
	"cmp"
	"regexp"
	"slices"
)

func isOpenStack(root *node) bool { return slices.ContainsFunc(root.items, isOpenStackPort) }

// isOpenStackPort reports whether n is a port, with the names of the client's columns or those of the API.
func isOpenStackPort(n *node) bool {
	return cmp.Or(n.get("Fixed IP Addresses"), n.get("fixed_ips")) != nil
}

// An openStackAddress is one address of a port.
type openStackAddress struct {
	address, subnet string
}

// readOpenStack reads the output of `openstack port list -f json`. It lists the ports of all networks and names none, so
// those of each subnet are a network of their own, unless there is only one.
func (s *source) readOpenStack(root *node) {
	subnets := map[string]bool{}
	for _, port := range root.items {
		for _, a := range addressesOfPort(port) {
			subnets[a.subnet] = true
		}
	}
	for _, port := range root.items {
		if !isOpenStackPort(port) {
			s.leaveOut(port.line, "", "no Fixed IP Addresses; want a port, as `openstack port list -f json` prints it")
			continue
		}
		s.addOpenStackPort(port, len(subnets) > 1)
	}
}

func (s *source) addOpenStackPort(port *node, bySubnet bool) {
	mac := cmp.Or(port.string("MAC Address"), port.string("mac_address"))
	name := cmp.Or(port.string("Name"), port.string("name"))
	addresses := addressesOfPort(port)
	if len(addresses) == 0 {
		s.ignore(port.line, describe(mac, name), "no fixed address")
	}
	for _, a := range addresses {
		n := &s.rest
		if bySubnet {
			n = s.named(port.line, a.subnet)
		}
		s.within(n, func() { s.addHost(port.line, a.address, mac, name) })
	}
}

// oldFixedIP matches an address in the output of clients before version 4, which write all into one text.
var oldFixedIP = regexp.MustCompile(`ip_address='([^']*)', subnet_id='([^']*)'`)

func addressesOfPort(port *node) []openStackAddress {
	fixed := cmp.Or(port.get("Fixed IP Addresses"), port.get("fixed_ips"))
	if fixed == nil {
		return nil
	}
	var all []openStackAddress
	for _, found := range oldFixedIP.FindAllStringSubmatch(fixed.text, -1) {
		all = append(all, openStackAddress{found[1], found[2]})
	}
	for _, ip := range fixed.items {
		all = append(all, openStackAddress{ip.string("ip_address"), ip.string("subnet_id")})
	}
	return all
}
