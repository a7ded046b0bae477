package importer

import (
	"net/netip"
	"slices"
	"strings"
)

func isDocker(root *node) bool {
	return isDockerNetwork(root) || slices.ContainsFunc(root.items, isDockerNetwork) || isContainers(root)
}

// readDocker reads the output of `docker network inspect`: a list of networks, each with its running containers. With
// --format '{{json .}}' it is one network and not a list.
func (s *source) readDocker(root *node) {
	networks := root.items
	if len(root.keys) > 0 {
		networks = []*node{root}
	}
	for _, n := range networks {
		if isContainer(n) {
			s.addContainerNetworks(n)
			continue
		}
		if !isDockerNetwork(n) {
			s.leaveOut(n.line, "", "no IPAM section; want a network, as `docker network inspect` prints it")
			continue
		}
		s.inNetwork(n.line, n.string("Name"), dockerBridge(n), func() { s.readDockerNetwork(n) })
	}
}

func isDockerNetwork(n *node) bool { return n.get("IPAM") != nil }

func (s *source) readDockerNetwork(n *node) {
	for _, subnet := range n.get("IPAM").list("Config") {
		prefix, err := netip.ParsePrefix(subnet.string("Subnet"))
		if err != nil || !prefix.Addr().Is4() {
			continue
		}
		s.addSubnet(subnet.line, prefix, netip.Addr{})
		s.reportBridgeGateway(subnet.line, subnet.string("Gateway"))
	}
	for _, container := range n.list("Containers") {
		s.addContainer(container)
	}
}

// reportBridgeGateway reports the gateway of a network, which is its bridge.
func (s *source) reportBridgeGateway(line int, gateway string) {
	if gateway != "" {
		s.ignore(line, "gateway "+printable(gateway), "the file does not have its MAC; guests need a "+
			"binding for their gateway, and `ip link show` prints the bridge's MAC")
	}
}

// dockerBridge returns the name of the bridge of a network, or "" if it has none.
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

func (s *source) addContainer(c *node) {
	name, mac := c.string("Name"), c.string("MacAddress")
	address, _, _ := strings.Cut(c.string("IPv4Address"), "/")
	if address == "" {
		s.ignore(c.line, describe(name, mac), "no IPv4 address")
		return
	}
	s.addHost(c.line, address, mac, name)
}
