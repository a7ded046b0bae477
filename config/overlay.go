package config

import (
	"fmt"
	"net/netip"
	"slices"
)

// Overlay is the tunnel between the hosts of a network: a VXLAN device, which is an uplink.
type Overlay struct {
	Device string // "" for none
	VNI    int
	Local  netip.Addr // this host's address, to which the others send
}

// highestVNI is the highest identifier of a VXLAN (RFC 7348, 5).
const highestVNI = 1<<24 - 1

// overlay converts the tunnel of a network, and makes its device an uplink.
func (c *converter) overlay(n *Network, raw *rawNetwork) {
	o := raw.Overlay
	if o == nil || o.broken {
		return
	}
	if !o.Device.written() || !o.VNI.written() || !o.Local.written() {
		c.add(o.place, "an overlay has three keys: write {device: vx10, vni: 10, local: 192.0.2.1}, with this host's own address")
	}
	if n.Attach.Kind != AttachBridge || n.Attach.VLAN != 0 {
		c.add(o.place, "an overlay needs attach.bridge, and no vlan: the tunnel is a member of the bridge")
		return
	}
	if o.VNI.readable() {
		n.Overlay.VNI = int(c.number(o.VNI, 1, highestVNI, fmt.Sprintf("the number of a VXLAN, 1 to %d", highestVNI)))
	}
	if o.Local.readable() {
		var err error
		if n.Overlay.Local, err = parseAddress(o.Local.text); err != nil {
			c.add(o.Local.place, "%s", err)
		}
	}
	if n.Overlay.Device = c.use(raw, o.Device, asUplink); n.Overlay.Device != "" {
		n.Attach.Uplinks = append(n.Attach.Uplinks, n.Overlay.Device)
	}
}

// guardTunnels keeps the guests of all networks from the host's tunnels, if it has any.
func (c *Config) guardTunnels() {
	hasTunnels := slices.ContainsFunc(c.Networks, func(n Network) bool { return n.Overlay.Device != "" })
	for i := range c.Networks {
		c.Networks[i].Policy.HostTunnels = hasTunnels
	}
}

// checkOverlays reports overlays without a store that says where the other hosts' guests are.
func (c *converter) checkOverlays(raw *rawConfig, s Store) {
	for _, name := range inFileOrder(raw.Networks) {
		if n := raw.Networks[name]; n.Overlay != nil && !n.Overlay.broken && s.Etcd == nil && raw.Store.Etcd == nil {
			c.add(n.Overlay.place, "an overlay needs store.etcd, by which the hosts tell each other where guests are")
		}
	}
}
