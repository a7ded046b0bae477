package importer

import (
	"slices"
	"strings"
)

// Format is the format of a file.
type Format string

// The formats, named after the program that writes them.
const (
	Ethers        Format = "ethers"         // ethers(5): a MAC and an address per line
	Dnsmasq       Format = "dnsmasq"        // dnsmasq(8): dhcp-host options, or a dhcp-hostsfile
	DnsmasqLeases Format = "dnsmasq-leases" // dnsmasq's dhcp-leasefile
	Kea           Format = "kea"            // reservations in the configuration of kea-dhcp4
	KeaLeases     Format = "kea-leases"     // kea-leases4.csv, or the answer to lease4-get-all
	DHCPD         Format = "dhcpd"          // ISC's dhcpd.conf(5) and dhcpd.leases(5)
	OpenWrt       Format = "openwrt"        // OpenWrt's /etc/config/dhcp
	CSV           Format = "csv"            // a table whose first line names the columns
	Proxmox       Format = "proxmox"        // the configuration of a guest of Proxmox VE
	Libvirt       Format = "libvirt"        // virsh net-dumpxml or dumpxml, or the input of a network hook
	LibvirtLeases Format = "libvirt-leases" // /var/lib/libvirt/dnsmasq/BRIDGE.status
	Docker        Format = "docker"         // docker network inspect, docker inspect, podman inspect
	Podman        Format = "podman"         // podman network inspect
	OpenStack     Format = "openstack"      // openstack port list -f json
	Neigh         Format = "neigh"          // ip neigh, ip -j neigh, arp -a, /proc/net/arp
)

// A fileFormat is how the files of a format are recognized and read.
type fileFormat struct {
	name Format
	read func(*source)
	// hasLine reports whether a line, split into words too, can only be one of this format; nil for JSON and XML
	hasLine func(line string, words []string) bool
	// hasValue reports whether a JSON file is of this format; nil for others
	hasValue func(root *node) bool
}

// fileFormats lists all formats. A line or a value is of the first that has it.
func fileFormats() []fileFormat {
	return []fileFormat{
		{Ethers, (*source).readEthers, isEthersLine, nil},
		{Dnsmasq, (*source).readDnsmasq, isDnsmasqLine, nil},
		{DnsmasqLeases, (*source).readDnsmasqLeases, isDnsmasqLease, nil},
		{Kea, fromJSON((*source).readKea), nil, isKea},
		{KeaLeases, (*source).readKeaLeases, nil, isKeaAnswer},
		{DHCPD, (*source).readDHCPD, isDHCPDLine, nil},
		{OpenWrt, (*source).readOpenWrt, isOpenWrtLine, nil},
		{CSV, (*source).readCSV, nil, nil},
		{Proxmox, (*source).readProxmox, isProxmoxLine, nil},
		{Libvirt, (*source).readLibvirt, nil, nil},
		{LibvirtLeases, fromJSON((*source).readLibvirtLeases), nil, isLibvirtLeases},
		{Docker, fromJSON((*source).readDocker), nil, isDocker},
		{Podman, fromJSON((*source).readPodman), nil, isPodman},
		{OpenStack, fromJSON((*source).readOpenStack), nil, isOpenStack},
		{Neigh, (*source).readNeigh, isNeighLine, isNeigh},
	}
}

// Formats lists all formats.
func Formats() []Format {
	var names []Format
	for _, f := range fileFormats() {
		names = append(names, f.name)
	}
	return names
}

// FormatNames lists the names of all formats.
func FormatNames() []string {
	var names []string
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return names
}

// read reads a file of the format.
func (f Format) read(s *source) {
	for _, known := range fileFormats() {
		if known.name == f {
			known.read(s)
		}
	}
}

// fromJSON returns a function that reads a JSON file by its root.
func fromJSON(read func(*source, *node)) func(*source) {
	return func(s *source) {
		if root := s.parseJSON(); root != nil {
			read(s, root)
		}
	}
}

// detectFormat returns the format of a file, or "" if it is unknown.
func detectFormat(s *source) Format {
	for _, line := range s.lines() {
		switch {
		case strings.HasPrefix(line, "<"):
			return Libvirt
		case beginsJSON(line):
			return detectJSONFormat(s.parseJSON())
		case strings.HasPrefix(line, keaLeasesHeader):
			return KeaLeases
		}
		break
	}
	if _, ok := s.findCSVHeader(); ok {
		return CSV
	}
	return detectLineFormat(s)
}

// maxDetected is the number of lines that show a file's format.
const maxDetected = 1000

// detectLineFormat returns the format that most lines have, so that a strange line does not decide about the others. Of
// two formats with as many lines, it is the first in the file.
func detectLineFormat(s *source) Format {
	votes := map[Format]int{}
	var most Format
	var found []Format
	lines := 0
	for _, line := range s.lines() {
		if format := formatOfLine(line); format != "" {
			votes[format]++
			found = append(found, format)
		}
		if lines++; lines == maxDetected {
			break
		}
	}
	for _, format := range found {
		if votes[format] > votes[most] {
			most = format
		}
	}
	return most
}

func formatOfLine(line string) Format {
	words := strings.Fields(line)
	for _, f := range fileFormats() {
		if f.hasLine != nil && f.hasLine(line, words) {
			return f.name
		}
	}
	return ""
}

// detectJSONFormat tells the JSON formats apart by their keys.
func detectJSONFormat(root *node) Format {
	if root == nil {
		return ""
	}
	all := fileFormats()
	i := slices.IndexFunc(all, func(f fileFormat) bool { return f.hasValue != nil && f.hasValue(root) })
	if i < 0 {
		return ""
	}
	return all[i].name
}
