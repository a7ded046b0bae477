package importer

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// A DockerNetwork is a network of Docker's engine with its running containers.
type DockerNetwork struct {
	Bridge     string // "" if it has none
	Subnets    []netip.Prefix
	Gateways   []netip.Addr // those that the network was made with: Docker does not tell one that it has chosen itself
	Containers []Lease
	LeftOut    []LeftOut
}

// ReadDockerNetwork reads a network of a name as Docker's engine describes it, which is what `docker network inspect` prints.
func ReadDockerNetwork(data []byte, name string) (DockerNetwork, error) {
	s := newSource("docker "+name, Options{})
	var err error
	if s.data, err = decodeText(data); err != nil {
		return DockerNetwork{}, err
	}
	root := s.parseJSON()
	switch {
	case root == nil && len(s.leftOut) > 0:
		return DockerNetwork{}, errors.New(s.leftOut[0].Why)
	case root == nil || !isDockerNetwork(root):
		return DockerNetwork{}, errors.New("the answer is no network: it has no IPAM section")
	}
	s.readDocker(root)
	n := DockerNetwork{Bridge: dockerBridge(root), LeftOut: s.leftOut}
	for _, subnet := range root.get("IPAM").list("Config") {
		if prefix, err := netip.ParsePrefix(subnet.string("Subnet")); err == nil && prefix.Addr().Is4() {
			n.Subnets = append(n.Subnets, prefix)
		}
		if addr, err := netip.ParseAddr(subnet.string("Gateway")); err == nil && addr.Is4() {
			n.Gateways = append(n.Gateways, addr)
		}
	}
	byAddress := map[netip.Addr]Lease{}
	for _, network := range s.statedNetworks() {
		for _, host := range network.hosts {
			host.Origin = registry.Origin{Source: fmt.Sprintf("docker %s container %s", name, host.Name)}
			byAddress[host.First] = host
		}
	}
	n.Containers = sortedLeases(byAddress)
	return n, nil
}
