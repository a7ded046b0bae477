package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// attachment reads where a network's guests are, and claims the interfaces for the network.
func (c *converter) attachment(raw *rawNetwork) Attachment {
	switch {
	case raw.Attach == nil && !raw.broken:
		c.add(raw.place, "there is no attach, which says where the guests are: %s", attachForms)
		return Attachment{}
	case raw.Attach == nil || raw.Attach.broken && raw.Attach.forms() == 0:
		return Attachment{}
	}
	c.checkForm(raw.Attach)
	return c.interfaces(raw)
}

const attachForms = "write {bridge: br0}, {tap: {name: arp0}}, {interface: eth0} or {sidecar: eth0}"

// forms counts the ways in which the network is attached; one is right.
func (raw *rawAttach) forms() int {
	n := 0
	for _, written := range []bool{raw.Bridge.written(), raw.TAP != nil, raw.Interface.written(), raw.Sidecar.written()} {
		if written {
			n++
		}
	}
	return n
}

// hasNoGuard reports whether the guests are behind no bridge and are no sidecar's, and so nothing keeps them
// apart.
func (raw *rawAttach) hasNoGuard() bool {
	switch {
	case raw == nil || raw.broken || raw.forms() != 1 || raw.Bridge.written() || raw.Sidecar.written():
		return false
	case raw.TAP != nil:
		return raw.TAP.readable() && !raw.TAP.Bridge.written()
	}
	return true
}

func (c *converter) checkForm(raw *rawAttach) {
	switch {
	case raw.forms() == 0:
		c.add(raw.place, "nothing is attached: %s", attachForms)
	case raw.Bridge.written() && raw.TAP != nil && raw.forms() == 2:
		c.add(raw.place, "a network has one attachment: to put the TAP into the bridge, "+
			"write {tap: {name: arp0, bridge: br0}}")
	case raw.forms() > 1:
		c.add(raw.place, "a network has one attachment: %s", attachForms)
	}
	if raw.TAP != nil && raw.TAP.readable() && !raw.TAP.Name.written() {
		c.add(raw.TAP.place, "the TAP has no name: write {name: arp0}")
	}
	if len(raw.Uplinks) > 0 && !raw.Bridge.written() {
		c.add(raw.Uplinks[0].place, "uplinks are members of attach.bridge, which this network doesn't have")
	}
	if raw.VLAN.written() && !raw.Bridge.written() {
		c.add(raw.VLAN.place, "a VLAN is one of attach.bridge, which this network doesn't have")
	}
}

// vlan returns the VLAN ID, or 0 where none is written.
func (c *converter) vlan(v value) uint16 {
	const highest = 4094 // IEEE 802.1Q, 9.6
	if !v.readable() {
		return 0
	}
	id, err := strconv.ParseUint(v.text, 10, 16)
	if err != nil || id < 1 || id > highest {
		c.add(v.place, "want a VLAN ID, 1 to %d, not %s", highest, quote(v.text))
		return 0
	}
	return uint16(id)
}

// interfaces returns the attachment with every interface that can have the name it is given.
func (c *converter) interfaces(raw *rawNetwork) Attachment {
	a := Attachment{
		VLAN:      c.vlan(raw.Attach.VLAN),
		Bridge:    c.claim(raw, raw.Attach.Bridge, asBridge),
		Interface: c.claim(raw, raw.Attach.Interface, "the interface"),
		Sidecar:   c.claim(raw, raw.Attach.Sidecar, "the sidecar's interface"),
	}
	for _, uplink := range raw.Attach.Uplinks {
		a.Uplinks = append(a.Uplinks, c.claim(raw, uplink, asUplink))
	}
	if tap := raw.Attach.TAP; tap != nil {
		a.TAP = c.claim(raw, tap.Name, "the TAP")
		if tap.Bridge.written() {
			a.Bridge = c.claim(raw, tap.Bridge, asBridge)
		}
	}
	return a
}

// A claim is what an interface is to a network.
type claim struct {
	as      string // what
	network string // to whom: "networks.lab"
	bridge  string // that the network is attached to
	vlan    string // of that bridge; "" for no particular one
	place
}

// What an interface may be to several networks. Of everything else there is one.
const (
	asBridge = "the bridge"
	asUplink = "an uplink"
	asPort   = "the port of a binding"
)

// claim returns the interface that v names, or nothing where that is no name or the interface is already
// something else.
func (c *converter) claim(network *rawNetwork, v value, as string) string {
	if !v.readable() {
		return ""
	}
	if err := checkInterfaceName(v.text); err != nil {
		c.add(v.place, "%s", err)
		return ""
	}
	at := network.Attach
	mine := claim{as, network.path, at.Bridge.text, strings.TrimLeft(at.VLAN.text, "0"), v.place}
	for _, earlier := range c.claims[v.text] {
		if !mine.goesWith(earlier) {
			c.add(v.place, "%s is %s of %s already, in line %d", v.text, earlier.as, earlier.network, earlier.line)
			return ""
		}
	}
	c.claims[v.text] = append(c.claims[v.text], mine)
	return v.text
}

// goesWith reports whether an interface can be both: the port of many bindings, or a part of a bridge in several
// of its VLANs.
func (mine claim) goesWith(earlier claim) bool {
	switch {
	case mine.as != earlier.as:
		return false
	case mine.network == earlier.network:
		return mine.as == asPort
	}
	return mine.bridge == earlier.bridge && mine.vlan != "" && earlier.vlan != "" && mine.vlan != earlier.vlan
}

// checkInterfaceName holds a name against what the kernel takes (dev_valid_name in net/core/dev.c: up to
// 15 bytes, no '/', ':' or white space, in Latin-1; a '%' is replaced by a number).
func checkInterfaceName(name string) error {
	const most = 15
	switch {
	case name == "":
		return errors.New("an interface's name can't be empty")
	case len(name) > most:
		return fmt.Errorf("%s can't be an interface's name: it has %d bytes, the kernel takes %d",
			quote(name), len(name), most)
	case name == "." || name == "..":
		return fmt.Errorf("%s can't be an interface's name", quote(name))
	}
	for _, b := range []byte(name) {
		if notInName(b) {
			return fmt.Errorf("%s can't be an interface's name: there is a %q in it", quote(name), b)
		}
	}
	return nil
}

func notInName(b byte) bool { return b <= ' ' || strings.IndexByte("/:%\x7f\xa0", b) >= 0 }
