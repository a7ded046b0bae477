package importer

import (
	"net/netip"
	"slices"
)

// readPodman reads the output of `podman network inspect`: a list of networks, each with its running containers, or one
// network.
func (s *source) readPodman(root *node) {
	networks := root.items
	if isPodmanNetwork(root) {
		networks = []*node{root}
	}
	for _, n := range networks {
		if !isPodmanNetwork(n) {
			s.leaveOut(n.line, "", "no subnets; want a network, as `podman network inspect` prints it")
			continue
		}
		s.inNetwork(n.line, n.string("name"), n.string("network_interface"), func() { s.readPodmanNetwork(n) })
	}
}

func isPodman(root *node) bool {
	return isPodmanNetwork(root) || slices.ContainsFunc(root.items, isPodmanNetwork)
}

func isPodmanNetwork(n *node) bool { return n.get("subnets") != nil && n.get("driver") != nil }

func (s *source) readPodmanNetwork(n *node) {
	for _, subnet := range n.list("subnets") {
		prefix, err := netip.ParsePrefix(subnet.string("subnet"))
		if err != nil || !prefix.Addr().Is4() {
			continue
		}
		s.addSubnet(subnet.line, prefix, netip.Addr{})
		s.reportBridgeGateway(subnet.line, subnet.string("gateway"))
	}
	if n.get("containers") == nil {
		s.ignore(n.line, describe("network", n.string("name")), "no containers; podman lists the running ones from version 5 on, and "+
			"`podman inspect CONTAINER` always")
	}
	for _, container := range n.list("containers") {
		for _, card := range container.list("interfaces") {
			s.addPodmanInterface(card, container.string("name"))
		}
	}
}

// addPodmanInterface adds each IPv4 address of a container's interface.
func (s *source) addPodmanInterface(card *node, name string) {
	mac := card.string("mac_address")
	for _, subnet := range card.list("subnets") {
		prefix, err := netip.ParsePrefix(subnet.string("ipnet"))
		if err != nil {
			s.leaveOut(subnet.line, describe(mac, name), "%s is not an IPv4 address with its length", quote(subnet.string("ipnet")))
			continue
		}
		s.addHost(subnet.line, prefix.Addr().String(), mac, name)
	}
}
