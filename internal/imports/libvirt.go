package imports

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// The types in this file mirror libvirt's XML, as far as it says who has which address.

type xmlNetwork struct {
	Name    string    `xml:"name"`
	Forward *struct{} `xml:"forward"`
	Bridge  struct {
		Name string `xml:"name,attr"`
	} `xml:"bridge"`
	MAC struct {
		Address string `xml:"address,attr"`
	} `xml:"mac"`
	IPs []xmlAt[xmlIP] `xml:"ip"`
}

// An xmlIP is an address of the host on a network's bridge, with the guests in its subnet.
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

// An xmlPort is a guest's interface in a network. A network hook gets it when it comes or goes.
type xmlPort struct {
	Owner struct {
		Name string `xml:"name"`
	} `xml:"owner"`
	MAC struct {
		Address string `xml:"address,attr"`
	} `xml:"mac"`
}

// An xmlAt is an element with the line that its start tag ends in.
type xmlAt[E any] struct {
	line    int
	element E
}

func (at *xmlAt[E]) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	at.line, _ = d.InputPos()
	return d.DecodeElement(&at.element, &start)
}

// readLibvirt reads a network's XML, as `virsh net-dumpxml` prints it, or within the <hookData> that libvirt
// hands a network hook.
func (s *source) readLibvirt() {
	d := xml.NewDecoder(strings.NewReader(s.data))
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
			s.leave(line, "", "%s", xmlProblem(err))
			return
		}
	}
}

// readElement reads one element at the top, or in a <hookData> there.
func (s *source) readElement(d *xml.Decoder, start xml.StartElement) error {
	switch start.Name.Local {
	case "hookData":
		return nil // and go on with what is in it
	case "network":
		var n xmlAt[xmlNetwork]
		if err := d.DecodeElement(&n, &start); err != nil {
			return err
		}
		s.takeNetwork(n.line, &n.element)
		return nil
	case "networkport":
		var p xmlAt[xmlPort]
		if err := d.DecodeElement(&p, &start); err != nil {
			return err
		}
		s.checkPort(p.line, &p.element)
		return nil
	}
	return fmt.Errorf("this is a <%s>: want a <network>, as `virsh net-dumpxml` prints it", start.Name.Local)
}

// xmlProblem returns an error's text. It may have names from the file in it.
func xmlProblem(err error) string {
	text := err.Error()
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		text = "this is not XML: " + syntax.Msg
	}
	return strings.Map(func(c rune) rune {
		if !strconv.IsPrint(c) {
			return '?'
		}
		return c
	}, text)
}

func (s *source) takeNetwork(line int, n *xmlNetwork) {
	s.inNetwork(line, n.Name, n.Bridge.Name)
	for _, ip := range n.IPs {
		s.takeIP(n, ip.line, ip.element)
		for _, host := range ip.element.Hosts {
			s.takeXMLHost(host.line, host.element)
		}
	}
}

// takeIP takes the host's own address. Where the network is forwarded, the host is the guests' gateway.
func (s *source) takeIP(n *xmlNetwork, line int, ip xmlIP) {
	s.take(line, ip.Address, n.MAC.Address, "host")
	facts := network{Origin: s.at(line), subnet: ip.subnet()}
	if addr, err := netip.ParseAddr(ip.Address); err == nil && n.Forward != nil {
		facts.gateway = addr
	}
	s.networks = append(s.networks, facts)
}

// subnet returns the subnet that an address is in, by its netmask or prefix, or none.
func (ip xmlIP) subnet() netip.Prefix {
	length := ip.Prefix
	if mask, err := netip.ParseAddr(ip.Netmask); err == nil && mask.Is4() {
		length = fmt.Sprint(onesOf(mask))
	}
	prefix, _ := netip.ParsePrefix(ip.Address + "/" + length)
	return prefix
}

// onesOf returns the number of ones at the beginning of a netmask, or -1 if there are more after that.
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

func (s *source) takeXMLHost(line int, h xmlHost) {
	switch {
	case h.IP == "":
		s.passOver(line, describe(h.MAC, h.Name), "it has no fixed address: write ip= in the network's XML")
	case h.MAC == "" && !strings.Contains(h.IP, ":"):
		s.leave(line, describe(h.IP, h.Name), "there is no mac=, and a binding needs one")
	default:
		s.take(line, h.IP, h.MAC, h.Name)
	}
}

// checkPort names a guest on the network that has no address there.
func (s *source) checkPort(line int, p *xmlPort) {
	mac, err := parseMAC(p.MAC.Address)
	if err != nil {
		return
	}
	for _, host := range s.hosts {
		if host.MAC == mac {
			return
		}
	}
	s.passOver(line, describe(p.Owner.Name, mac.String()), "this guest has no <host mac= ip=/> in the network's XML, "+
		"so there is no binding for it")
}
