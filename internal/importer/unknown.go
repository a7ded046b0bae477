package importer

import (
	"regexp"
	"slices"
)

// A lookalike is a kind of file that people try to import although it has no bindings, or not in that form.
type lookalike struct {
	line   *regexp.Regexp // which only files of the kind have
	advice string
}

var lookalikes = []lookalike{
	{regexp.MustCompile(`^networks:`), "it looks like arpfabric's own configuration: use it as it is"},
	{regexp.MustCompile(`^network:`), "it looks like netplan's configuration, which has no MACs of guests"},
	{regexp.MustCompile(`^address,duid,`), "it looks like Kea's DHCPv6 leases, and ARP is for IPv4: want kea-leases4.csv"},
	{regexp.MustCompile(`"Dhcp6"`), "it looks like the configuration of kea-dhcp6, and ARP is for IPv4: want that of kea-dhcp4"},
	{regexp.MustCompile(`^(NETWORK|CONTAINER) ID\s`), "it looks like the table of `docker ps` or `docker network ls`: want " +
		"`docker network inspect NETWORK`"},
	{regexp.MustCompile(`^(127\.\S+|::1)\s+\S*localhost`), "it looks like /etc/hosts, which has no MACs: want /etc/ethers"},
	{regexp.MustCompile(`^\d+: \S+: <`), "it looks like the output of `ip addr` or `ip link`: want `ip neigh`"},
	{regexp.MustCompile(`"(ifname|addr_info)"`), "it looks like the output of `ip -j addr` or `ip -j link`: want `ip -j neigh`"},
	{regexp.MustCompile(`^Expiry Time\s+MAC`), "it looks like the table of `virsh net-dhcp-leases`: want " +
		"/var/lib/libvirt/dnsmasq/BRIDGE.status"},
	{regexp.MustCompile(`^Name\s+State\s+Autostart`), "it looks like the table of `virsh net-list`: want `virsh net-dumpxml NETWORK`"},
	{regexp.MustCompile(`^Interface\s+Type\s+Source\s+Model`), "it looks like the table of `virsh domiflist`: want `virsh dumpxml GUEST`"},
	{regexp.MustCompile(`^\S+: \S+ --- 0x[0-9a-f]+`), "it looks like `arp -a` of Windows: want `ip neigh` of the host with the bridge"},
	{regexp.MustCompile(`^[0-9a-f:]{17} dev `), "it looks like `bridge fdb`, which has no addresses: want `ip neigh`"},
	{regexp.MustCompile(`^\+-+\+`), "it looks like a table for people: want JSON, as `openstack port list -f json` prints it"},
	{regexp.MustCompile(`^\[[A-Za-z]`), "it looks like an INI file, which is the form of none of the formats"},
}

// looksLikeCSV reports whether the first line has an address or a MAC among values with commas or semicolons between.
func looksLikeCSV(s *source) bool {
	for _, line := range s.lines() {
		for _, comma := range ",;\t" {
			cells, err := parseCSV(line, comma)
			if err == nil && len(cells) > 1 && slices.ContainsFunc(cells, func(c string) bool { return isAddress(c) || isMAC(c) }) {
				return true
			}
		}
		break
	}
	return false
}

// unknownFormat says what a file of no known format looks like, and what is wanted.
func unknownFormat(s *source) string {
	lines := 0
	for _, line := range s.lines() {
		for _, kind := range lookalikes {
			if kind.line.MatchString(line) {
				return kind.advice
			}
		}
		if lines++; lines == maxDetected {
			break
		}
	}
	switch {
	case lines == 0:
		return "the file is empty"
	case looksLikeCSV(s):
		return csvColumns
	}
	return "unknown format; name it with --format, one of " + formatList()
}
