package imports

import (
	"slices"
	"strings"
)

// Format is the form of what is read.
type Format string

// The formats, by the program that writes them.
const (
	Ethers        Format = "ethers"         // ethers(5): a MAC and an address a line
	Dnsmasq       Format = "dnsmasq"        // dnsmasq(8): dhcp-host options, or a dhcp-hostsfile
	DnsmasqLeases Format = "dnsmasq-leases" // dnsmasq's dhcp-leasefile
	Kea           Format = "kea"            // reservations in the configuration of kea-dhcp4
	KeaLeases     Format = "kea-leases"     // kea-leases4.csv
	Libvirt       Format = "libvirt"        // virsh net-dumpxml, or what libvirt hands a network hook
	Docker        Format = "docker"         // docker network inspect
	Neigh         Format = "neigh"          // ip -j neigh
)

// Formats lists all formats.
func Formats() []Format {
	return []Format{Ethers, Dnsmasq, DnsmasqLeases, Kea, KeaLeases, Libvirt, Docker, Neigh}
}

// FormatNames lists the names of all formats.
func FormatNames() []string {
	var names []string
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return names
}

// read takes what is in a file of the format.
func (f Format) read(s *source) {
	switch f {
	case Ethers:
		s.readEthers()
	case Dnsmasq:
		s.readDnsmasq()
	case DnsmasqLeases:
		s.readDnsmasqLeases()
	case KeaLeases:
		s.readKeaLeases()
	case Libvirt:
		s.readLibvirt()
	default:
		s.readJSON(f)
	}
}

// recognise returns the format of what s holds, or nothing.
func recognise(s *source) Format {
	for _, line := range s.lines() {
		switch {
		case strings.HasPrefix(line, "<"):
			return Libvirt
		case strings.HasPrefix(line, "["), strings.HasPrefix(line, "{"),
			strings.HasPrefix(line, "//"), strings.HasPrefix(line, "/*"):
			return recogniseJSON(s.parseJSON())
		}
		if format := recogniseLine(line); format != "" {
			return format
		}
	}
	return ""
}

// recogniseLine returns the format that has lines like this one, or nothing.
func recogniseLine(line string) Format {
	words := strings.Fields(line)
	option, _, _ := strings.Cut(line, "=")
	switch {
	case strings.HasPrefix(line, keaLeasesHeader):
		return KeaLeases
	case words[0] == "duid", len(words) >= 4 && isNumber(words[0]) && isAddress(words[2]):
		return DnsmasqLeases
	case len(words) >= 2 && isMAC(words[0]):
		return Ethers
	case slices.Contains(dnsmasqOptions, strings.TrimSpace(option)), beginsWithMAC(line):
		return Dnsmasq
	}
	return ""
}

// recogniseJSON tells the formats in JSON by the keys that each has.
func recogniseJSON(root *node) Format {
	if root == nil {
		return ""
	}
	switch {
	case dhcp4(root) != nil:
		return Kea
	case isDockerNetwork(root):
		return Docker
	}
	for _, item := range root.items {
		switch {
		case isDockerNetwork(item):
			return Docker
		case item.get("dst") != nil:
			return Neigh
		}
	}
	return ""
}
