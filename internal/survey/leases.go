package survey

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/arpfabric/arpfabric/internal/importer"
)

// leaseFiles are the places where DHCP servers keep their leases: of a bridge, or of all interfaces.
var leaseFiles = []string{
	"var/lib/libvirt/dnsmasq/BRIDGE.status",
	"var/lib/NetworkManager/dnsmasq-BRIDGE.leases",
	"var/lib/incus/networks/BRIDGE/dnsmasq.leases",
	"var/snap/lxd/common/lxd/networks/BRIDGE/dnsmasq.leases",
	"var/lib/misc/dnsmasq.BRIDGE.leases", // LXC
	"var/lib/misc/dnsmasq.leases",
	"var/lib/dnsmasq/dnsmasq.leases",
	"var/lib/kea/kea-leases4.csv",
	"var/lib/dhcp/dhcpd.leases",
}

// addLeases adds the leases of addresses in the subnet. Without a subnet it adds those of MACs behind the bridge: a file may
// have the leases of several bridges.
func (s *Survey) addLeases(f *findings) {
	for _, pattern := range leaseFiles {
		path := filepath.Join(s.Root, strings.ReplaceAll(pattern, "BRIDGE", s.Bridge))
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		// The error is that the file has no bindings, or that its parts disagree about a network's name.
		found, _ := importer.Read([]string{path}, importer.Options{Bridge: s.Bridge, Now: s.Now})
		for _, left := range found.LeftOut {
			if !left.Expected {
				s.warnings = append(s.warnings, left.String())
			}
		}
		for _, b := range found.Bindings {
			if _, isBehind := f.behind[b.MAC]; isBehind && !s.subnet.IsValid() || s.subnet.IsValid() && s.isInside(b.First) {
				f.add(b.First, finding{mac: b.MAC, name: b.Name, from: []string{"lease in " + b.Origin.String()}})
			}
		}
	}
}
