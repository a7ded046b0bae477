package importer

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// The types in this file mirror the parts of libvirt's XML that concern addresses.

type xmlNetwork struct {
	Name    string    `xml:"name"`
	Forward *struct{} `xml:"forward"`
	Bridge  struct {
		Name string `xml:"name,attr"`
	} `xml:"bridge"`
	MAC struct {
		Address string `xml:"address,attr"`
	} `xml:"mac"`
	IPs     []xmlAt[xmlIP]     `xml:"ip"`
	Routes  []xmlAt[xmlRoute]  `xml:"route"`
	Options []xmlAt[xmlOption] `xml:"options>option"`
}

// An xmlRoute is a prefix behind one of the guests.
type xmlRoute struct {
	Address string `xml:"address,attr"`
	Netmask string `xml:"netmask,attr"`
	Prefix  string `xml:"prefix,attr"`
	Gateway string `xml:"gateway,attr"`
}

// An xmlOption is a line of dnsmasq's configuration that libvirt adds for the network.
type xmlOption struct {
	Value string `xml:"value,attr"`
}

// An xmlIP is the host's address on a network's bridge, with the guests of its subnet.
type xmlIP struct {
	Address string           `xml:"address,attr"`
	Netmask string           `xml:"netmask,attr"`
	Prefix  string           `xml:"prefix,attr"`
	Hosts   []xmlAt[xmlHost] `xml:"dhcp>host"`
}

type xmlHost struct {
	MAC  string `xml:"mac,attr"`
	Name string `xml:"name,attr"`
	IP   string `xml:"ip,attr"`
}

// An xmlPort is a guest's interface in a network. A network hook gets it when the interface is added or removed.
type xmlPort struct {
	Owner struct {
		Name string `xml:"name"`
	} `xml:"owner"`
	MAC struct {
		Address string `xml:"address,attr"`
	} `xml:"mac"`
}

// An xmlAt is an element with the line on which its start tag ends.
type xmlAt[E any] struct {
	line    int
	element E
}

func (at *xmlAt[E]) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	at.line, _ = d.InputPos()
	return d.DecodeElement(&at.element, &start)
}

// readLibvirt reads a network's XML, either the output of `virsh net-dumpxml` or the <hookData> that libvirt passes to
// a network hook.
func (s *source) readLibvirt() {
	d := xml.NewDecoder(strings.NewReader(s.data))
	// The text is UTF-8 by now, whatever encoding its declaration names.
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		token, err := d.Token()
		if start, ok := token.(xml.StartElement); ok {
			err = s.readElement(d, start)
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			line, _ := d.InputPos()
			s.leaveOut(line, "", "%s", xmlProblem(err))
			return
		}
	}
}

// readElement reads one top-level element, or one inside a top-level <hookData>.
func (s *source) readElement(d *xml.Decoder, start xml.StartElement) error {
	switch start.Name.Local {
	case "hookData":
		return nil // its children are read next
	case "network":
		var n xmlAt[xmlNetwork]
		if err := d.DecodeElement(&n, &start); err != nil {
			return err
		}
		e := &n.element
		s.inNetwork(n.line, e.Name, e.Bridge.Name, func() { s.addLibvirtNetwork(e) })
		return nil
	case "domain":
		var domain xmlDomain
		if err := d.DecodeElement(&domain, &start); err != nil {
			return err
		}
		s.addDomain(&domain)
		return nil
	case "networkport":
		var p xmlAt[xmlPort]
		if err := d.DecodeElement(&p, &start); err != nil {
			return err
		}
		s.reportUnboundPort(p.line, &p.element)
		return nil
	}
	return fmt.Errorf("found a <%s>: want a <network>, as `virsh net-dumpxml` prints it, or a <domain>, "+
		"as `virsh dumpxml` does", start.Name.Local)
}

// xmlProblem returns an error's text without control characters, which names from the file can bring into it.
func xmlProblem(err error) string {
	text := err.Error()
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		text = "invalid XML: " + syntax.Msg
	}
	return strings.Map(func(c rune) rune {
		if !strconv.IsPrint(c) {
			return '?'
		}
		return c
	}, text)
}

func (s *source) addLibvirtNetwork(n *xmlNetwork) {
	for _, ip := range n.IPs {
		s.addBridgeAddress(n, ip.line, ip.element)
		for _, host := range ip.element.Hosts {
			s.addLibvirtHost(host.line, host.element)
		}
	}
	for _, r := range n.Routes {
		s.addLibvirtRoute(r.line, r.element)
	}
	for _, option := range n.Options {
		s.readDnsmasqOption(option.line, strings.TrimSpace(option.element.Value))
	}
}

// addBridgeAddress adds the host's own address. If the network is forwarded, the host is the guests' gateway.
func (s *source) addBridgeAddress(n *xmlNetwork, line int, ip xmlIP) {
	var gateway netip.Addr
	switch {
	case n.MAC.Address == "" && !strings.Contains(ip.Address, ":"):
		s.leaveOut(line, describe(ip.Address, "host"), "no <mac> in this XML; the host's MAC on the bridge is in "+
			"`virsh net-dumpxml %s`, once the network is defined, or in `ip link show %s`",
			printable(n.Name), printable(n.Bridge.Name))
	case s.addHost(line, ip.Address, n.MAC.Address, "host") && n.Forward != nil:
		gateway, _ = netip.ParseAddr(ip.Address)
	}
	s.addSubnet(line, ip.subnet(), gateway)
}

// subnet returns an address's subnet by its netmask or prefix, or the zero Prefix.
func (ip xmlIP) subnet() netip.Prefix { return prefixOf(ip.Address, ip.Netmask, ip.Prefix) }

// prefixOf returns an address with its length, which is given as a netmask or a number, or the zero Prefix.
func prefixOf(address, netmask, length string) netip.Prefix {
	if mask, err := netip.ParseAddr(netmask); err == nil && mask.Is4() {
		length = fmt.Sprint(onesOf(mask))
	}
	prefix, _ := netip.ParsePrefix(address + "/" + length)
	return prefix
}

// addLibvirtRoute records a route over a guest: the guest is a router.
func (s *source) addLibvirtRoute(line int, r xmlRoute) {
	prefix := prefixOf(r.Address, r.Netmask, r.Prefix)
	gateway, err := netip.ParseAddr(r.Gateway)
	switch what := describe("route to", r.Address, "by", r.Gateway); {
	case prefix.Addr().Is6():
		s.ignore(line, what, "this is an IPv6 route")
	case err != nil || !prefix.IsValid():
		s.leaveOut(line, what, "want address=, netmask= or prefix=, and gateway=")
	default:
		s.addRoute(line, prefix, gateway)
	}
}

// onesOf returns the number of leading ones in a netmask, or -1 if others follow.
func onesOf(mask netip.Addr) int {
	var all uint32
	for _, b := range mask.As4() {
		all = all<<8 | uint32(b)
	}
	ones := bits.LeadingZeros32(^all)
	if all<<ones != 0 {
		return -1
	}
	return ones
}

func (s *source) addLibvirtHost(line int, h xmlHost) {
	switch {
	case h.IP == "":
		s.ignore(line, describe(h.MAC, h.Name), "no fixed address; write ip= in the network's XML")
	case h.MAC == "" && !strings.Contains(h.IP, ":"):
		s.leaveOut(line, describe(h.IP, h.Name), "no mac=; a binding needs one")
	default:
		s.addHost(line, h.IP, h.MAC, h.Name)
	}
}

// reportUnboundPort reports a guest whose MAC has no address in the network's XML.
func (s *source) reportUnboundPort(line int, p *xmlPort) {
	mac, err := parseMAC(p.MAC.Address)
	if err != nil {
		return
	}
	for _, n := range s.networks {
		if slices.ContainsFunc(n.hosts, func(l Lease) bool { return l.MAC == mac }) {
			return
		}
	}
	s.ignore(line, describe(p.Owner.Name, mac.String()), "this guest has no <host mac= ip=/> in the network's XML, "+
		"so there is no binding for it")
}
