package importer

import (
	"cmp"
	"regexp"
	"strings"
)

// An xmlDomain is a guest, as `virsh dumpxml` prints it.
type xmlDomain struct {
	Name       string                `xml:"name"`
	Interfaces []xmlAt[xmlInterface] `xml:"devices>interface"`
}

type xmlInterface struct {
	Type string `xml:"type,attr"`
	MAC  struct {
		Address string `xml:"address,attr"`
	} `xml:"mac"`
	Source struct {
		Bridge string `xml:"bridge,attr"` // of a running guest, also if its interface names a network
	} `xml:"source"`
	Target struct {
		Dev string `xml:"dev,attr"`
	} `xml:"target"`
	IPs []struct {
		Address string `xml:"address,attr"`
	} `xml:"ip"`
}

// numberedPort matches the names that libvirt gives to ports itself, by a number that changes at each start.
var numberedPort = regexp.MustCompile(`^vnet\d+$`)

// addDomain adds what a guest's XML states: the MACs and ports of its interfaces, and rarely their addresses.
func (s *source) addDomain(d *xmlDomain) {
	for _, card := range d.Interfaces {
		s.addDomainInterface(card.line, strings.TrimSpace(d.Name), card.element)
	}
}

func (s *source) addDomainInterface(line int, name string, card xmlInterface) {
	mac, port := card.MAC.Address, card.Target.Dev
	what := describe(name, mac)
	switch {
	case card.Type != "network" && card.Type != "bridge":
		s.ignore(line, what, "its interface is of type %s, not on a bridge", cmp.Or(printable(card.Type), "unknown"))
		return
	case s.bridge != "" && card.Source.Bridge != "" && card.Source.Bridge != s.bridge:
		s.ignore(line, what, "it is on %s, not on %s", printable(card.Source.Bridge), s.bridge)
		return
	case numberedPort.MatchString(port):
		s.ignore(line, what, "port %s is not taken, because its number changes at each start; name the port in the guest's XML "+
			"(<target dev='...'/>)", port)
		port = ""
	}
	s.within(s.onBridge(line, card.Source.Bridge, 0), func() {
		guest := guestPort{at: s.at(line), mac: mac, name: name, port: port}
		for _, ip := range card.IPs {
			s.addHost(line, ip.Address, mac, name)
			guest.hasAddress = guest.hasAddress || !strings.Contains(ip.Address, ":")
		}
		s.addGuest(guest)
	})
}
