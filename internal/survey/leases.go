package survey

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/importer"
)

// A leaseFile is a file of leases.
type leaseFile struct {
	path string
	kind config.SourceKind // with which arpfabric follows it
}

// leaseFiles are the places where DHCP servers keep their leases: of a bridge, or of all interfaces.
var leaseFiles = []leaseFile{
	{"var/lib/libvirt/dnsmasq/BRIDGE.status", config.LibvirtStatus},
	{"var/lib/NetworkManager/dnsmasq-BRIDGE.leases", config.DnsmasqLeases},
	{"var/lib/incus/networks/BRIDGE/dnsmasq.leases", config.DnsmasqLeases},
	{"var/snap/lxd/common/lxd/networks/BRIDGE/dnsmasq.leases", config.DnsmasqLeases},
	{"var/lib/misc/dnsmasq.BRIDGE.leases", config.DnsmasqLeases}, // LXC
	{"var/lib/misc/dnsmasq.leases", config.DnsmasqLeases},
	{"var/lib/dnsmasq/dnsmasq.leases", config.DnsmasqLeases},
	{"var/lib/kea/kea-leases4.csv", config.KeaLeases},
	{"var/lib/dhcp/dhcpd.leases", config.ISCLeases},
}

// addLeases adds the leases of all files that there are.
func (s *Survey) addLeases(f *findings) {
	for _, file := range leaseFiles {
		file.path = filepath.Join(s.Root, strings.ReplaceAll(file.path, "BRIDGE", s.Bridge))
		if _, err := os.Stat(file.path); !errors.Is(err, fs.ErrNotExist) && s.addLeasesOf(f, file.path) {
			s.leases = append(s.leases, file)
		}
	}
}

// addLeasesOf adds the leases of addresses in the subnet, and reports whether there are any. Without a subnet it adds those of
// MACs behind the bridge: a file may have the leases of several bridges.
func (s *Survey) addLeasesOf(f *findings, path string) (has bool) {
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
			has = true
		}
	}
	return has
}
