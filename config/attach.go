package config

import (
	"errors"
	"fmt"
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

const attachForms = "write {bridge: br0}, {tap: {name: arp0}} or {interface: eth0}"

// forms counts the ways in which the network is attached; one is right.
func (raw *rawAttach) forms() int {
	n := 0
	for _, written := range []bool{raw.Bridge.written(), raw.TAP != nil, raw.Interface.written()} {
		if written {
			n++
		}
	}
	return n
}

// isBridgeless reports whether the guests are not behind a bridge, and so nothing keeps them apart.
func (raw *rawAttach) isBridgeless() bool {
	switch {
	case raw == nil || raw.broken || raw.forms() != 1 || raw.Bridge.written():
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
	case raw.Bridge.written() && raw.TAP != nil && !raw.Interface.written():
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
}

// interfaces returns the attachment with every interface that can have the name it is given.
func (c *converter) interfaces(raw *rawNetwork) Attachment {
	a := Attachment{
		Bridge:    c.claim(raw, raw.Attach.Bridge, "the bridge"),
		Interface: c.claim(raw, raw.Attach.Interface, "the interface"),
	}
	for _, uplink := range raw.Attach.Uplinks {
		a.Uplinks = append(a.Uplinks, c.claim(raw, uplink, "an uplink"))
	}
	if tap := raw.Attach.TAP; tap != nil {
		a.TAP = c.claim(raw, tap.Name, "the TAP")
		if tap.Bridge.written() {
			a.Bridge = c.claim(raw, tap.Bridge, "the bridge")
		}
	}
	return a
}

// A claim is what an interface is to a network. It can't be anything else, to this network or another.
type claim struct {
	as string // "the bridge of networks.lab"
	place
}

const asPort = "the port of a binding"

// claim returns the interface that v names, or nothing where that is no name or the interface is already
// something else. Many bindings may have one port.
func (c *converter) claim(network *rawNetwork, v value, as string) string {
	if !v.readable() {
		return ""
	}
	if err := checkInterfaceName(v.text); err != nil {
		c.add(v.place, "%s", err)
		return ""
	}
	mine := claim{as + " of " + network.path, v.place}
	earlier, taken := c.claims[v.text]
	if !taken {
		c.claims[v.text] = mine
		return v.text
	}
	if as != asPort || mine.as != earlier.as {
		c.add(v.place, "%s is %s already, in line %d", v.text, earlier.as, earlier.line)
		return ""
	}
	return v.text
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
