package explain

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/config"
)

// CheckPort returns an error if the question is about a port that does not exist. ports are the ports of the running
// networks that the question may be about. The interfaces that their configurations name are accepted, too.
func (q Question) CheckPort(networks []config.Network, ports []string) error {
	isNamed := func(n config.Network) bool { return hasInterface(n.Attach, q.Port) }
	if q.Port == "" || slices.Contains(ports, q.Port) || slices.ContainsFunc(networks, isNamed) {
		return nil
	}
	if real := proxmoxPort(q.Port); slices.Contains(ports, real) {
		return fmt.Errorf("%s is not a port: with Proxmox's firewall, its frames enter the bridge by %s; explain with --port %s",
			q.Port, real, real)
	}
	return fmt.Errorf("there is no port %s; the ports are %s", q.Port, listPorts(ports))
}

// listPorts lists ports, but not so many that the message becomes unreadable.
func listPorts(ports []string) string {
	const most = 20
	if len(ports) <= most {
		return strings.Join(ports, ", ")
	}
	return fmt.Sprintf("%s and %d more, which 'arpfabric ports' lists", strings.Join(ports[:most], ", "), len(ports)-most)
}

// proxmoxGuest matches the names of a guest's interfaces on Proxmox VE: that of a virtual machine, that of a container,
// and those of the bridge for its firewall, which stands between the guest and the bridge that all guests share.
var proxmoxGuest = regexp.MustCompile(`^(?:tap|veth|fwbr|fwln)(\d+)i(\d+)$`)

// proxmoxPort returns the port by which the frames of a guest's interface enter the shared bridge with Proxmox's
// firewall, or "" if the name is not one that Proxmox gives.
func proxmoxPort(name string) string {
	id := proxmoxGuest.FindStringSubmatch(name)
	if id == nil {
		return ""
	}
	return fmt.Sprintf("fwpr%sp%s", id[1], id[2])
}
