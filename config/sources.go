package config

import (
	"path/filepath"
	"regexp"
	"strings"
)

// SourceKind is the kind of a source, as the configuration spells it.
type SourceKind string

// The kinds of sources.
const (
	DnsmasqLeases SourceKind = "dnsmasq_leases" // dnsmasq's dhcp-leasefile
	KeaLeases     SourceKind = "kea_leases"     // kea-leases4.csv of Kea's memfile
	ISCLeases     SourceKind = "isc_leases"     // dhcpd.leases of ISC dhcpd
	LibvirtStatus SourceKind = "libvirt_status" // BRIDGE.status of a network of libvirt
	Docker        SourceKind = "docker"         // the running containers of a network of Docker
)

// SourceKinds lists all kinds.
func SourceKinds() []SourceKind {
	return []SourceKind{DnsmasqLeases, KeaLeases, ISCLeases, LibvirtStatus, Docker}
}

// Source is where a network's bindings come from beside the configuration's files. The running fabric follows it.
type Source struct {
	Kind   SourceKind
	Of     string // the path of the file, or the name of Docker's network
	Socket string // of Docker's engine; "" for the other kinds
}

// IsOrigin reports whether a binding with an origin is of the source.
func (s Source) IsOrigin(origin string) bool {
	if s.Kind == Docker {
		return strings.HasPrefix(origin, s.String()+" ")
	}
	return strings.HasPrefix(origin, s.Of)
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
		Docker: raw.Docker,
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
	case s.Kind == Docker:
		return c.docker(raw)
	case raw.Socket.written():
		c.add(raw.Socket.place, "socket is only for docker")
	}
	var ok bool
	s.Of, ok = c.path(of)
	return s, ok
}

// dockerName matches the names and IDs of Docker's networks.
var dockerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// docker converts a network of Docker.
func (c *converter) docker(raw *rawSource) (Source, bool) {
	s := Source{Kind: Docker, Of: raw.Docker.text, Socket: raw.Socket.text}
	if !dockerName.MatchString(s.Of) {
		c.add(raw.Docker.place, "%s is not a name of a network of Docker: want letters, digits, '-', '_' and '.'", quote(s.Of))
		return s, false
	}
	if raw.Socket.broken {
		return s, false
	}
	if !filepath.IsAbs(s.Socket) {
		c.add(raw.Socket.place, "want the absolute path of a unix socket, not %s", quote(s.Socket))
		return s, false
	}
	return s, true
}

func kindNames() []string {
	var names []string
	for _, kind := range SourceKinds() {
		names = append(names, string(kind))
	}
	return names
}
