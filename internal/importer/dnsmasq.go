package importer

import (
	"regexp"
	"slices"
	"strings"
)

// dnsmasqOptions are options of dnsmasq(8) whose presence shows that a file is its configuration.
var dnsmasqOptions = slices.Concat(includeOptions, []string{
	dhcpHost, "interface", "dhcp-range", "dhcp-option", "dhcp-leasefile", "domain", "domain-needed", "bogus-priv",
	"no-resolv", "server", "bind-interfaces", "bind-dynamic", "listen-address",
})

const dhcpHost = "dhcp-host"

func isDnsmasqLine(line string, _ []string) bool {
	option, _, _ := strings.Cut(line, "=")
	return slices.Contains(dnsmasqOptions, strings.TrimSpace(option)) || beginsWithMAC(line)
}

// includeOptions name other files, which may list more hosts.
var includeOptions = []string{"dhcp-hostsfile", "dhcp-hostsdir", "conf-file", "conf-dir", "read-ethers"}

// readDnsmasq reads dnsmasq's configuration, or a file that its dhcp-hostsfile option names. A line of the latter holds
// the value of a dhcp-host option.
func (s *source) readDnsmasq() {
	for number, line := range s.lines() {
		line = strings.TrimSpace(trailingComment.ReplaceAllString(line, ""))
		option, lacks := lacksEquals(line)
		switch {
		case lacks:
			s.leaveOut(number, "", "want '=' after %s, in %s", option, quote(line))
		case isHostLine(line):
			s.addDHCPHost(number, line)
		default:
			s.readDnsmasqOption(number, line)
		}
	}
}

// readDnsmasqOption reads a line of dnsmasq's configuration.
func (s *source) readDnsmasqOption(number int, line string) {
	option, value, _ := strings.Cut(line, "=")
	option, value = strings.TrimSpace(option), strings.TrimSpace(value)
	switch {
	case option == dhcpHost:
		s.addDHCPHost(number, value)
	case slices.Contains(includeOptions, option):
		s.ignore(number, describe(option, value), "it may list more hosts; import it too")
	case !dnsmasqOption.MatchString(option):
		s.leaveOut(number, "", "%s is not an option of dnsmasq: want OPTION=VALUE, or MAC,ADDRESS in a dhcp-hostsfile",
			quote(line))
	case isMistypedHost(option, value):
		s.leaveOut(number, describe(option, value), "dnsmasq has no option %s: want %s", printable(option), dhcpHost)
	}
}

var dnsmasqOption = regexp.MustCompile(`^[a-z0-9-]+$`)

var trailingComment = regexp.MustCompile(`\s#.*`)

// isHostLine reports whether a line is one of a dhcp-hostsfile. In a line of the configuration, a '=' precedes a comma.
func isHostLine(line string) bool {
	first, _, more := strings.Cut(line, ",")
	return more && !strings.Contains(first, "=")
}

// beginsWithMAC reports whether a line can only be one of a dhcp-hostsfile.
func beginsWithMAC(line string) bool {
	first, _, more := strings.Cut(line, ",")
	return more && looksLikeMAC(first)
}

// A dhcpHostOption is a parsed dhcp-host option.
type dhcpHostOption struct {
	macs, addresses []string
	clientIDs       []string // which dnsmasq knows only with "id:" before, but people write them without
	leaseTimes      []string
	name            string
	ipv6, ignore    bool
	mistyped        string // why a part is no part of the option; empty if all are
}

// parseDHCPHost recognizes the parts of the option by their form, as dnsmasq does.
func parseDHCPHost(text string) dhcpHostOption {
	var o dhcpHostOption
	for part := range strings.SplitSeq(text, ",") {
		part = strings.Trim(part, " \t\"")
		switch {
		case part == "", tagOrID.MatchString(part):
		case leaseTime.MatchString(part):
			o.leaseTimes = append(o.leaseTimes, part)
		case part == "ignore":
			o.ignore = true
		case part[0] == '[':
			o.ipv6 = true
		case isClientID(part):
			o.clientIDs = append(o.clientIDs, part)
		case looksLikeMAC(part):
			o.macs = append(o.macs, part)
		case isAddress(part):
			o.addresses = append(o.addresses, part)
		default:
			o.setName(part)
		}
	}
	if len(o.leaseTimes) > 1 {
		o.mistyped = "more than one lease time: " + printable(strings.Join(o.leaseTimes, ", "))
	}
	return o
}

// setName takes a part for the name unless it was meant to be something else: dnsmasq takes everything that is nothing
// else for a name, so a mistyped address would be lost.
func (o *dhcpHostOption) setName(part string) {
	switch {
	case looksLikeAddress(part) && !isMAC(part):
		o.mistyped = quote(part) + " is not an IPv4 address"
	case strings.Contains(part, ":"), isMAC(part):
		o.mistyped = quote(part) + " is not a MAC as dnsmasq reads it: want six numbers with ':' between"
	case o.name != "":
		o.mistyped = "more than one name: " + printable(o.name+", "+part)
	default:
		o.name = part
	}
}

var (
	tagOrID   = regexp.MustCompile(`^(id|set|tag|net):`)
	leaseTime = regexp.MustCompile(`^(\d+[smhdw]?|infinite)$`)
	macLike   = regexp.MustCompile(`^([0-9A-Fa-f]{1,2}-)?([0-9A-Fa-f]{1,2}|\*)(:([0-9A-Fa-f]{1,2}|\*))+$`)
)

// clientID matches the id of a client on Ethernet: the hardware type and the MAC (RFC 2132, 9.14).
var clientID = regexp.MustCompile(`^0?1(:[0-9A-Fa-f]{1,2}){6}$`)

func isClientID(text string) bool { return clientID.MatchString(text) }

// looksLikeMAC also accepts a MAC with '*' in it, and one after a hardware type.
func looksLikeMAC(text string) bool { return macLike.MatchString(text) }

// addDHCPHost adds the host of a dhcp-host option if it has one MAC and one address.
func (s *source) addDHCPHost(line int, text string) {
	o := parseDHCPHost(text)
	what := describe(append(slices.Concat(o.macs, o.addresses), o.name)...)
	switch {
	case o.ignore:
		s.ignore(line, what, "dnsmasq ignores this host")
	case o.mistyped != "":
		s.leaveOut(line, what, "%s", o.mistyped)
	case len(o.addresses) == 0 && o.ipv6:
		s.ignore(line, what, "only an IPv6 address, and ARP is for IPv4")
	case len(o.addresses) == 0:
		s.ignore(line, what, "no fixed address; dnsmasq's leases show its current one")
	case len(o.addresses) > 1:
		s.leaveOut(line, what, "more than one address; write a line for each")
	case len(o.macs) == 0 && len(o.clientIDs) > 0:
		s.leaveOut(line, what, "no MAC; %s is a client id, so write the MAC as well", o.clientIDs[0])
	case len(o.macs) == 0:
		s.leaveOut(line, what, "no MAC; a binding needs one")
	case len(o.macs) > 1:
		s.leaveOut(line, what, "more than one MAC; an address has one owner, so write the MAC that uses it")
	case strings.Contains(o.macs[0], "*"):
		s.leaveOut(line, what, "the MAC has a wildcard; a binding needs the whole MAC")
	default:
		s.addDnsmasqHost(line, o.addresses[0], o.macs[0], o.name)
	}
}

// addDnsmasqHost adds a host. A hardware type may precede its MAC, as in 01-02:00:06:de:54:a8, and must then be
// Ethernet's.
func (s *source) addDnsmasqHost(line int, address, mac, name string) {
	if kind, rest, typed := strings.Cut(mac, "-"); typed && strings.Contains(rest, ":") {
		if strings.TrimLeft(kind, "0") != "1" {
			s.leaveOut(line, describe(address, name), "%s is a hardware address of type %s, not of Ethernet",
				quote(rest), printable(kind))
			return
		}
		mac = rest
	}
	s.addHost(line, address, mac, name)
}
