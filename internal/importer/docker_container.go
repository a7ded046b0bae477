package importer

import "slices"

func isContainers(root *node) bool {
	return isContainer(root) || slices.ContainsFunc(root.items, isContainer)
}

func isContainer(n *node) bool { return n.get("NetworkSettings") != nil }

// addContainerNetworks adds a container with its address in each of its networks, from the output of `docker inspect` or
// `podman inspect`. It does not state the bridges.
func (s *source) addContainerNetworks(container *node) {
	name := container.string("Name")
	if name != "" && name[0] == '/' { // as Docker writes it
		name = name[1:]
	}
	networks := container.get("NetworkSettings").get("Networks")
	if networks == nil || len(networks.items) == 0 {
		s.ignore(container.line, describe(name), "it is in no network")
		return
	}
	for i, n := range networks.items {
		s.within(s.named(n.line, networks.keys[i]), func() {
			if n.string("IPAddress") == "" {
				s.ignore(n.line, describe(name, n.string("MacAddress")), "no IPv4 address; is the container running?")
				return
			}
			s.addHost(n.line, n.string("IPAddress"), n.string("MacAddress"), name)
		})
	}
}
