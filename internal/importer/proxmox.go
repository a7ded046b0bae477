package importer

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// proxmoxLine matches the lines for the network in the configuration of a guest of Proxmox VE.
var proxmoxLine = regexp.MustCompile(`^(net\d+:\s*\S+=|ipconfig\d+:\s*(ip|gw)6?=)`)

func isProxmoxLine(line string, _ []string) bool { return proxmoxLine.MatchString(line) }

// A proxmoxOption is a line: its key, and a value that consists of more keys and values. first is the value of the first
// of them: in the line of a network card, after its model, the MAC.
type proxmoxOption struct {
	line  int
	first string
	value map[string]string
}

// A proxmoxGuest is a virtual machine or a container.
type proxmoxGuest struct {
	name    string
	id      string // empty if the file's name does not state it
	options map[string]proxmoxOption
}

// readProxmox reads the configuration of a virtual machine or a container, from /etc/pve or as `qm config` and `pct config`
// print it. Snapshots follow in sections of their own, and are not read.
func (s *source) readProxmox() {
	guest := proxmoxGuest{id: proxmoxID(s.path), options: map[string]proxmoxOption{}}
	for number, line := range s.lines() {
		if line[0] == '[' {
			break
		}
		key, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case !ok:
			s.leaveOut(number, "", "want KEY: VALUE")
		case key == "name", key == "hostname":
			guest.name = value
		case proxmoxLine.MatchString(line):
			guest.options[key] = parseProxmoxOption(number, value)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(guest.options)) {
		if card, ok := strings.CutPrefix(key, "net"); ok {
			s.addProxmoxCard(guest, card)
		}
		if card, ok := strings.CutPrefix(key, "ipconfig"); ok {
			s.checkProxmoxAddress(guest, card)
		}
	}
}

// checkProxmoxAddress reports an address without a network card, and a gateway that is none.
func (s *source) checkProxmoxAddress(guest proxmoxGuest, card string) {
	config := guest.options["ipconfig"+card]
	what := describe(guest.name, "ipconfig"+card, config.value["ip"])
	switch _, hasCard := guest.options["net"+card]; {
	case hasCard:
		s.checkProxmoxGateway(config, guest.name)
	case isProxmoxAddress(config.value["ip"]):
		s.leaveOut(config.line, what, "the guest has no card net%s", card)
	default:
		s.ignore(config.line, what, "the guest has no card net%s", card)
	}
}

func (s *source) checkProxmoxGateway(o proxmoxOption, name string) {
	gateway, stated := o.value["gw"]
	if _, err := parseAddress(gateway); stated && err != nil {
		s.leaveOut(o.line, describe(name, "gateway"), "%s", err)
	}
}

// isProxmoxAddress reports whether an ip= is an address, and no way to get one.
func isProxmoxAddress(ip string) bool { return ip != "" && ip != "dhcp" && ip != "manual" }

var proxmoxFile = regexp.MustCompile(`(\d+)\.conf$`)

// proxmoxID returns the number of a guest, after which its file is named, or "".
func proxmoxID(path string) string {
	if found := proxmoxFile.FindStringSubmatch(filepath.Base(path)); found != nil {
		return found[1]
	}
	return ""
}

// parseProxmoxOption parses virtio=02:00:00:00:00:01,bridge=vmbr0.
func parseProxmoxOption(line int, text string) proxmoxOption {
	o := proxmoxOption{line: line, value: map[string]string{}}
	for i, part := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		o.value[key] = value
		if i == 0 {
			o.first = value
		}
	}
	return o
}

// addProxmoxCard adds a guest's network card. A container has its address in the same line, a virtual machine in the line
// for cloud-init.
func (s *source) addProxmoxCard(guest proxmoxGuest, card string) {
	net, config := guest.options["net"+card], guest.options["ipconfig"+card]
	bridge := net.value["bridge"]
	mac := cmp.Or(net.value["hwaddr"], net.value["macaddr"], net.first)
	what := describe(guest.name, "net"+card, mac)
	ip := cmp.Or(net.value["ip"], config.value["ip"])
	switch {
	case bridge == "":
		s.ignore(net.line, what, "no bridge")
		return
	case s.bridge != "" && bridge != s.bridge:
		s.ignore(net.line, what, "it is on %s, not on %s", printable(bridge), s.bridge)
		return
	}
	vlan, err := parseVLAN(net.value["tag"])
	if err != nil {
		s.leaveOut(net.line, what, "%s", err)
		return
	}
	hasAddress := isProxmoxAddress(ip)
	s.within(s.onBridge(net.line, bridge, vlan), func() {
		s.addGuest(guestPort{at: s.at(net.line), mac: mac, name: guest.name, port: guest.port(card), hasAddress: hasAddress})
		s.checkProxmoxGateway(net, guest.name)
		if guest.id == "" {
			s.ignore(net.line, what, "imported without its port, because the name of the file is not the guest's number, as in 100.conf")
		}
		if hasAddress {
			s.addProxmoxAddress(net.line, ip, cmp.Or(net.value["gw"], config.value["gw"]), mac, guest.name)
		}
	})
}

func (s *source) addProxmoxAddress(line int, ip, gateway, mac, name string) {
	prefix, err := netip.ParsePrefix(ip)
	if err != nil {
		s.addHost(line, ip, mac, name)
		return
	}
	if s.addHost(line, prefix.Addr().String(), mac, name) {
		router, _ := netip.ParseAddr(gateway)
		s.addSubnet(line, prefix, router)
	}
}

// port returns the interface on the bridge that leads to a card. A firewall of the card is a bridge of its own between.
func (g proxmoxGuest) port(card string) string {
	net := g.options["net"+card].value
	switch {
	case g.id == "":
		return ""
	case net["firewall"] == "1":
		return "fwpr" + g.id + "p" + card
	case net["hwaddr"] != "":
		return "veth" + g.id + "i" + card
	}
	return "tap" + g.id + "i" + card
}

// parseVLAN reads the number of a VLAN. Without one it returns 0.
func parseVLAN(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	const highest = 4094
	vlan, err := strconv.Atoi(text)
	if err != nil || vlan < 1 || vlan > highest {
		return 0, fmt.Errorf("%s is not a VLAN: want 1 to %d", quote(text), highest)
	}
	return vlan, nil
}
