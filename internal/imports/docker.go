package imports

import (
	"net/netip"
	"strings"
)

// readDocker reads `docker network inspect`: a list of networks, each with the containers in it that run. With
// --format '{{json .}}' it is one network.
func (s *source) readDocker(root *node) {
	networks := root.items
	if len(root.keys) > 0 {
		networks = []*node{root}
	}
	for _, n := range networks {
		if !isDockerNetwork(n) {
			s.leave(n.line, "", "there is no IPAM in it: want a network, as `docker network inspect` prints it")
			continue
		}
		s.readDockerNetwork(n)
		for _, container := range n.list("Containers") {
			s.takeContainer(container)
		}
	}
}

func isDockerNetwork(n *node) bool { return n.get("IPAM") != nil }

func (s *source) readDockerNetwork(n *node) {
	s.inNetwork(n.line, n.string("Name"), dockerBridge(n))
	for _, subnet := range n.get("IPAM").list("Config") {
		prefix, err := netip.ParsePrefix(subnet.string("Subnet"))
		if err != nil || !prefix.Addr().Is4() {
			continue
		}
		s.networks = append(s.networks, network{Origin: s.at(subnet.line), subnet: prefix})
		if gateway := subnet.string("Gateway"); gateway != "" {
			s.passOver(subnet.line, "gateway "+printable(gateway), "its MAC is not in here: `ip link show` prints that of "+
				"the bridge, and guests need a binding for it to find their gateway")
		}
	}
}

// dockerBridge returns the name of the bridge of a network, or nothing if it has none.
func dockerBridge(n *node) string {
	const shortID = 12
	if name := n.get("Options").string("com.docker.network.bridge.name"); name != "" {
		return name
	}
	if id := n.string("Id"); n.string("Driver") == "bridge" && len(id) >= shortID {
		return "br-" + id[:shortID]
	}
	return ""
}

func (s *source) takeContainer(c *node) {
	name, mac := c.string("Name"), c.string("MacAddress")
	address, _, _ := strings.Cut(c.string("IPv4Address"), "/")
	if address == "" {
		s.passOver(c.line, describe(name, mac), "it has no IPv4 address")
		return
	}
	s.take(c.line, address, mac, name)
}
