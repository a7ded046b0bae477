package config

import (
	"errors"
	"fmt"
	"strings"
)

// attachment converts a network's attachment, and records the use of each interface.
func (c *converter) attachment(raw *rawNetwork) Attachment {
	switch {
	case raw.Attach == nil && !raw.broken:
		c.add(raw.place, "attach is missing; it says where the guests are: %s", attachForms)
		return Attachment{}
	case raw.Attach == nil || raw.Attach.broken && raw.Attach.forms() == 0:
		return Attachment{}
	}
	c.checkForm(raw.Attach)
	return c.interfaces(raw)
}

const attachForms = "write {bridge: br0}, {tap: {name: arp0}}, {interface: eth0} or {sidecar: eth0}"

// forms counts the forms of attachment that are written. One is valid.
func (raw *rawAttach) forms() int {
	n := 0
	for _, written := range []bool{raw.Bridge.written(), raw.TAP != nil, raw.Interface.written(), raw.Sidecar.written()} {
		if written {
			n++
		}
	}
	return n
}

// hasNoGuard reports whether the network is attached neither to a bridge nor to a sidecar, so that it has no guard. It
// returns false if the attachment is invalid.
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
		c.add(raw.place, "attach is empty: %s", attachForms)
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
		c.add(raw.Uplinks[0].place, "uplinks need attach.bridge, which this network does not have")
	}
	if raw.VLAN.written() && !raw.Bridge.written() {
		c.add(raw.VLAN.place, "vlan needs attach.bridge, which this network does not have")
	}
}

// vlan returns the VLAN ID, or 0 where none is written.
func (c *converter) vlan(v value) uint16 {
	const highest = 4094 // IEEE 802.1Q, 9.6
	if !v.readable() {
		return 0
	}
	return uint16(c.number(v, 1, highest, fmt.Sprintf("a VLAN ID, 1 to %d", highest)))
}

// interfaces returns the attachment with the interfaces whose names are valid.
func (c *converter) interfaces(raw *rawNetwork) Attachment {
	at := raw.Attach
	a := Attachment{VLAN: c.vlan(at.VLAN), Bridge: c.use(raw, at.Bridge, asBridge)}
	// The use of every interface is recorded, so that every conflict is reported. If several forms are written, which
	// is an error, the last one counts.
	for _, form := range []struct {
		kind AttachKind
		name value
		as   string
	}{
		{AttachInterface, at.Interface, "the interface"},
		{AttachSidecar, at.Sidecar, "the sidecar's interface"},
	} {
		if form.name.written() {
			a.Kind, a.Device = form.kind, c.use(raw, form.name, form.as)
		}
	}
	for _, uplink := range at.Uplinks {
		a.Uplinks = append(a.Uplinks, c.use(raw, uplink, asUplink))
	}
	if tap := at.TAP; tap != nil {
		a.Kind, a.Device = AttachTAP, c.use(raw, tap.Name, "the TAP")
		if tap.Bridge.written() {
			a.Bridge = c.use(raw, tap.Bridge, asBridge)
		}
	}
	return a
}

// An interfaceUse is the use of an interface by a network.
type interfaceUse struct {
	as      string // the role: asBridge, asUplink, ...
	network string // its path: "networks.lab"
	bridge  string // the bridge that the network is attached to
	vlan    string // the VLAN of that bridge; "" for the whole bridge
	place
}

// The roles that an interface may have more than once.
const (
	asBridge = "the bridge"
	asUplink = "an uplink"
	asPort   = "the port of a binding"
)

// use records the use of the interface that v names, and returns its name. It reports a name that is invalid, or that
// is in use already, and returns "".
func (c *converter) use(network *rawNetwork, v value, as string) string {
	if !v.readable() {
		return ""
	}
	if err := checkInterfaceName(v.text); err != nil {
		c.add(v.place, "%s", err)
		return ""
	}
	at := network.Attach
	added := interfaceUse{as, network.path, at.Bridge.text, strings.TrimLeft(at.VLAN.text, "0"), v.place}
	for _, earlier := range c.uses[v.text] {
		if !added.isCompatible(earlier) {
			c.add(v.place, "%s is already %s of %s, in line %d", v.text, earlier.as, earlier.network, earlier.line)
			return ""
		}
	}
	c.uses[v.text] = append(c.uses[v.text], added)
	return v.text
}

// isCompatible reports whether an interface can have both uses: as the port of several bindings, also if it is an uplink of
// their network, or in several VLANs of one bridge.
func (u interfaceUse) isCompatible(earlier interfaceUse) bool {
	switch {
	case u.network == earlier.network && u.as == asPort && earlier.as == asUplink:
		return true
	case u.as != earlier.as:
		return false
	case u.network == earlier.network:
		return u.as == asPort
	}
	return u.bridge == earlier.bridge && u.vlan != "" && earlier.vlan != "" && u.vlan != earlier.vlan
}

// checkInterfaceName returns an error if the kernel does not accept a name (dev_valid_name in net/core/dev.c: up to 15
// bytes, no '/', ':' or white space, in Latin-1; it replaces a '%' by a number).
func checkInterfaceName(name string) error {
	const most = 15
	switch {
	case name == "":
		return errors.New("an interface name cannot be empty")
	case len(name) > most:
		return fmt.Errorf("%s is not a valid interface name: it has %d bytes, and the kernel allows %d",
			quote(name), len(name), most)
	case name == "." || name == "..":
		return fmt.Errorf("%s is not a valid interface name", quote(name))
	}
	for _, b := range []byte(name) {
		if notInName(b) {
			return fmt.Errorf("%s is not a valid interface name: it contains %q", quote(name), b)
		}
	}
	return nil
}

func notInName(b byte) bool { return b <= ' ' || strings.IndexByte("/:%\x7f\xa0", b) >= 0 }
