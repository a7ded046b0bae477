package importer

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// dhcpdLine matches lines that only dhcpd.conf(5) or dhcpd.leases(5) has. dhcpd ignores the case of keywords.
var dhcpdLine = regexp.MustCompile(`(?i)^((subnet|host|group|pool|shared-network|class|lease|failover peer)\b[^=]*\{` +
	`|(range|hardware|fixed-address|option|default-lease-time|max-lease-time|authoritative|ddns-update-style|starts|ends|tstp|cltt` +
	`|binding state|next binding state|uid|client-hostname|server-duid|include|allow|deny|next-server|filename)\b[^=]*;)`)

func isDHCPDLine(line string, _ []string) bool { return dhcpdLine.MatchString(line) }

// readDHCPD reads the configuration or the leases of ISC dhcpd, which have the same grammar. dhcpd appends to its leases,
// so the last one for an address counts, and so does the last declaration of a host there.
func (s *source) readDHCPD() {
	r := dhcpdReader{source: s, leases: map[string]*dhcpdBlock{}}
	r.read(s.parseDHCPD())
	for _, lease := range slices.SortedFunc(maps.Values(r.leases), byDHCPDLine) {
		s.addDHCPDLease(lease)
	}
}

func byDHCPDLine(a, b *dhcpdBlock) int { return cmp.Compare(a.line, b.line) }

type dhcpdReader struct {
	*source
	leases map[string]*dhcpdBlock // the last one of each address
}

// read reads the declarations in a block and in the blocks in it: a host may be in a group, in a subnet, or in neither.
func (r *dhcpdReader) read(b *dhcpdBlock) {
	for _, d := range b.statements {
		switch d.words[0] {
		case "range":
			r.ignore(d.line, describe(strings.Join(d.words, " ")), "these addresses have no fixed MAC; dhcpd.leases shows "+
				"the current ones")
		case "include":
			r.ignore(d.line, describe(strings.Join(d.words, " ")), "it may list more hosts; import it too")
		}
	}
	for _, inner := range b.blocks {
		switch inner.kind() {
		case "host":
			r.addDHCPDHost(inner)
		case "lease":
			r.leases[inner.argument()] = inner
		case "subnet":
			r.addDHCPDSubnet(inner)
		}
		r.read(inner)
	}
}

// addDHCPDHost adds a host with each of its addresses.
func (s *source) addDHCPDHost(host *dhcpdBlock) {
	name, addresses := host.argument(), host.values("fixed-address")
	if given := host.values("host-name"); len(given) == 1 { // of "option host-name"
		name = given[0]
	}
	hardware := host.find("hardware")
	switch {
	case host.find("deleted") != nil: // in dhcpd.leases
	case hardware != nil && len(hardware.words) != 3:
		s.leaveOut(hardware.line, describe("host", name), "want hardware ethernet MAC; a ';' may be missing after it")
	case len(addresses) == 0 && host.find("fixed-address6") != nil:
		s.ignore(host.line, describe("host", name), "only an IPv6 address, and ARP is for IPv4")
	case len(addresses) == 0:
		s.ignore(host.line, describe("host", name), "no fixed-address; dhcpd.leases shows its current one")
	case hardware == nil:
		s.leaveOut(host.line, describe("host", name), "no hardware ethernet; a binding needs a MAC")
	default:
		for _, address := range addresses {
			s.addDHCPDAddress(host.find("fixed-address").line, address, hardware, name)
		}
	}
}

func (s *source) addDHCPDAddress(line int, address string, hardware *dhcpdStatement, name string) {
	switch {
	case len(hardware.words) != 3: // only in a lease
		s.leaveOut(hardware.line, describe(address, name), "want hardware ethernet MAC")
	case !isKeyword(hardware.words[1], "ethernet"):
		s.leaveOut(hardware.line, describe(address, name), "%s is a hardware address of type %s, not of Ethernet",
			quote(hardware.words[2]), printable(hardware.words[1]))
	default:
		s.addHost(line, address, hardware.words[2], name)
	}
}

// addDHCPDSubnet records a subnet and the first router in it.
func (s *source) addDHCPDSubnet(b *dhcpdBlock) {
	if len(b.words) != 4 || !isKeyword(b.words[2], "netmask") {
		return
	}
	addr, err := netip.ParseAddr(b.words[1])
	mask, err2 := netip.ParseAddr(b.words[3])
	if err != nil || err2 != nil || !addr.Is4() || !mask.Is4() {
		s.leaveOut(b.line, "", "want subnet ADDRESS netmask MASK")
		return
	}
	var gateway netip.Addr
	if routers := b.values("routers"); len(routers) > 0 {
		gateway, _ = netip.ParseAddr(routers[0])
	}
	s.addSubnet(b.line, netip.PrefixFrom(addr, onesOf(mask)), gateway)
}

// addDHCPDLease adds the host of a lease if the lease is in use.
func (s *source) addDHCPDLease(lease *dhcpdBlock) {
	address, name := lease.argument(), lease.first("client-hostname")
	what := describe(address, name)
	hardware := lease.find("hardware")
	state := lease.find("binding")
	until, err := lease.ends()
	switch {
	case lease.find("abandoned") != nil:
		s.ignore(lease.line, what, "another host used the address, so dhcpd abandoned it")
	case state != nil && !isKeyword(state.words[len(state.words)-1], "active"):
		s.ignore(lease.line, what, "the lease is not in use (state %s)", printable(state.words[len(state.words)-1]))
	case err != nil:
		s.leaveOut(lease.line, what, "%s", err)
	case !until.IsZero() && !until.After(s.now):
		s.ignore(lease.line, what, "the lease has expired")
	case hardware == nil:
		s.leaveOut(lease.line, what, "no hardware ethernet; a binding needs a MAC")
	default:
		s.lasting(until, func() { s.addDHCPDAddress(lease.line, address, hardware, name) })
	}
}

// ends returns when a lease ends, or the zero Time if it never does. dhcpd writes a weekday, a date and a time, in UTC, or
// "epoch" and seconds, or "never".
func (b *dhcpdBlock) ends() (time.Time, error) {
	end := b.find("ends")
	if end == nil || isKeyword(end.words[len(end.words)-1], "never") {
		return time.Time{}, nil
	}
	text := strings.Join(end.words[1:], " ")
	var seconds int64
	if n, _ := fmt.Sscanf(strings.ToLower(text), "epoch %d", &seconds); n == 1 {
		return time.Unix(seconds, 0), nil
	}
	_, date, _ := strings.Cut(text, " ")
	until, err := time.Parse("2006/01/02 15:04:05", date)
	if err != nil {
		return until, fmt.Errorf("the lease has no valid end: %s", quote(text))
	}
	return until, nil
}
