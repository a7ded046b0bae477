package imports

import (
	"regexp"
	"slices"
	"strings"
)

// dnsmasqOptions are those of dnsmasq(8) that its configuration is recognised by.
var dnsmasqOptions = slices.Concat(elsewhere, []string{
	dhcpHost, "interface", "dhcp-range", "dhcp-option", "dhcp-leasefile", "domain", "domain-needed", "bogus-priv",
	"no-resolv", "server", "bind-interfaces", "bind-dynamic", "listen-address",
})

const dhcpHost = "dhcp-host"

// elsewhere are the options that say where more hosts may be.
var elsewhere = []string{"dhcp-hostsfile", "dhcp-hostsdir", "conf-file", "conf-dir", "read-ethers"}

// readDnsmasq reads a configuration of dnsmasq, or a file that its dhcp-hostsfile names, which has what
// stands behind dhcp-host= in each line.
func (s *source) readDnsmasq() {
	for number, line := range s.lines() {
		line = strings.TrimSpace(trailingComment.ReplaceAllString(line, ""))
		if isHostLine(line) {
			s.takeDHCPHost(number, line)
			continue
		}
		option, value, _ := strings.Cut(line, "=")
		option, value = strings.TrimSpace(option), strings.TrimSpace(value)
		switch {
		case option == dhcpHost:
			s.takeDHCPHost(number, value)
		case slices.Contains(elsewhere, option):
			s.passOver(number, describe(option, value), "there may be more hosts there: import it too")
		}
	}
}

var trailingComment = regexp.MustCompile(`\s#.*`)

// isHostLine reports whether a line is one of a dhcp-hostsfile: an option that has a comma has a '=' before it.
func isHostLine(line string) bool {
	first, _, more := strings.Cut(line, ",")
	return more && !strings.Contains(first, "=")
}

// beginsWithMAC reports whether a line is one of a dhcp-hostsfile and can't be anything else.
func beginsWithMAC(line string) bool {
	first, _, more := strings.Cut(line, ",")
	return more && looksLikeMAC(first)
}

// A dhcpHostOption is what a dhcp-host option says of a host.
type dhcpHostOption struct {
	macs, addresses []string
	name            string
	ipv6, ignore    bool
}

// parseDHCPHost tells the parts of the option by their look, as dnsmasq does.
func parseDHCPHost(text string) dhcpHostOption {
	var o dhcpHostOption
	for part := range strings.SplitSeq(text, ",") {
		part = strings.Trim(part, " \t\"")
		switch {
		case part == "", tagOrID.MatchString(part), leaseTime.MatchString(part):
		case part == "ignore":
			o.ignore = true
		case part[0] == '[':
			o.ipv6 = true
		case looksLikeMAC(part):
			o.macs = append(o.macs, part)
		case isAddress(part):
			o.addresses = append(o.addresses, part)
		default:
			o.name = part
		}
	}
	return o
}

var (
	tagOrID   = regexp.MustCompile(`^(id|set|tag|net):`)
	leaseTime = regexp.MustCompile(`^(\d+[smhdw]?|infinite)$`)
	macLike   = regexp.MustCompile(`^([0-9A-Fa-f]{1,2}-)?([0-9A-Fa-f]{1,2}|\*)(:([0-9A-Fa-f]{1,2}|\*))+$`)
)

// looksLikeMAC also takes a MAC with '*' in it, and one with a type of hardware before it.
func looksLikeMAC(text string) bool { return macLike.MatchString(text) }

// takeDHCPHost takes the host of a dhcp-host option if it has one MAC and one address.
func (s *source) takeDHCPHost(line int, text string) {
	o := parseDHCPHost(text)
	what := describe(append(slices.Concat(o.macs, o.addresses), o.name)...)
	switch {
	case o.ignore:
		s.passOver(line, what, "dnsmasq ignores this host")
	case len(o.addresses) == 0 && o.ipv6:
		s.passOver(line, what, "it has an IPv6 address only, and ARP is for IPv4")
	case len(o.addresses) == 0:
		s.passOver(line, what, "it has no fixed address: dnsmasq's leases have the one that it got")
	case len(o.addresses) > 1:
		s.leave(line, what, "it has more than one address: write a line for each")
	case len(o.macs) == 0:
		s.leave(line, what, "there is no MAC, and a binding needs one")
	case len(o.macs) > 1:
		s.leave(line, what, "it has more than one MAC, and an address has one owner: write the one that uses it")
	case strings.Contains(o.macs[0], "*"):
		s.leave(line, what, "its MAC has a wildcard, and a binding needs all of it")
	default:
		s.takeLease(line, o.addresses[0], o.macs[0], o.name)
	}
}

// takeLease takes a host whose MAC may have the number of its hardware's type before it, which must be
// Ethernet's then.
func (s *source) takeLease(line int, address, mac, name string) {
	if kind, rest, typed := strings.Cut(mac, "-"); typed && strings.Contains(rest, ":") {
		if strings.TrimLeft(kind, "0") != "1" {
			s.leave(line, describe(address, name), "%s is a hardware address of type %s, not of Ethernet",
				quote(rest), printable(kind))
			return
		}
		mac = rest
	}
	s.take(line, address, mac, name)
}
