package config

// SourceKind is the kind of a source, as the configuration spells it.
type SourceKind string

// The kinds of sources.
const (
	DnsmasqLeases SourceKind = "dnsmasq_leases" // dnsmasq's dhcp-leasefile
	KeaLeases     SourceKind = "kea_leases"     // kea-leases4.csv of Kea's memfile
	ISCLeases     SourceKind = "isc_leases"     // dhcpd.leases of ISC dhcpd
	LibvirtStatus SourceKind = "libvirt_status" // BRIDGE.status of a network of libvirt
)

// SourceKinds lists all kinds.
func SourceKinds() []SourceKind {
	return []SourceKind{DnsmasqLeases, KeaLeases, ISCLeases, LibvirtStatus}
}

// Source is where a network's bindings come from beside the configuration's files. The running fabric follows it.
type Source struct {
	Kind SourceKind
	Of   string // the path of the file
}

// String returns "dnsmasq_leases /var/lib/misc/dnsmasq.leases".
func (s Source) String() string { return string(s.Kind) + " " + s.Of }

// sources converts the sources of a network.
func (c *converter) sources(list []rawSource) []Source {
	var all []Source
	lines := map[Source]int{}
	for i := range list {
		raw := &list[i]
		s, ok := c.source(raw)
		switch {
		case !ok:
		case lines[s] > 0:
			c.add(raw.place, "%s is listed twice, first in line %d", s, lines[s])
		default:
			lines[s] = raw.line
			all = append(all, s)
		}
	}
	return all
}

// source converts one source. It returns false if it reports a problem.
func (c *converter) source(raw *rawSource) (Source, bool) {
	kinds := map[SourceKind]value{
		DnsmasqLeases: raw.DnsmasqLeases, KeaLeases: raw.KeaLeases, ISCLeases: raw.ISCLeases, LibvirtStatus: raw.LibvirtStatus,
	}
	var s Source
	var of value
	for _, kind := range SourceKinds() {
		if v := kinds[kind]; v.written() && of.written() {
			c.add(raw.place, "a source is of one kind, not %s and %s: write two entries of the list", s.Kind, kind)
			return s, false
		} else if v.written() {
			s.Kind, of = kind, v
		}
	}
	switch {
	case raw.broken || of.broken:
		return s, false
	case !of.written():
		c.add(raw.place, "no source: want one of %s", joined(kindNames(), "or"))
		return s, false
	}
	var ok bool
	s.Of, ok = c.path(of)
	return s, ok
}

func kindNames() []string {
	var names []string
	for _, kind := range SourceKinds() {
		names = append(names, string(kind))
	}
	return names
}
