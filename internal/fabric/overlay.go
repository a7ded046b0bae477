package fabric

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// A Remote says behind which other host a MAC is.
type Remote struct {
	Host     string
	Tunnel   netip.Addr // the host's address, to which frames for the MAC are sent
	Revision uint64     // of what the hosts share; a later one is about a later move
}

// overlay has the guests of other hosts, to which a network's VXLAN device leads. Only the loop uses it.
type overlay struct {
	device  link.Link
	remotes map[registry.MAC]Remote // nil until they are known
	tunnels map[link.MAC]netip.Addr // the entries of the device's FDB; nil until they are read

	// overruled has the revisions of remotes whose MAC was seen here since. They may be set once more until the other hosts
	// know.
	overruled map[registry.MAC]uint64
}

// isOverlay reports whether the port is the VXLAN device. Only the store says which MACs are behind it.
func (p *port) isOverlay() bool { return p.link.Name == p.network.config().Overlay.Device }

// LocationsChanged returns a channel that receives when Guests may return something else.
func (f *Fabric) LocationsChanged() <-chan struct{} { return f.located }

func (f *Fabric) notifyLocated() {
	select {
	case f.located <- struct{}{}:
	default:
	}
}

// SetRemotes says where the guests of a network with an overlay are, all of them that are behind other hosts.
func (f *Fabric) SetRemotes(ctx context.Context, network string, remotes map[registry.MAC]Remote) error {
	return f.runInLoop(ctx, request{run: func() error {
		for _, n := range f.networks {
			if n.config().Name == network && !n.isWaiting() {
				n.overlay.set(remotes)
				return errors.Join(n.writeTunnels(), f.applyLocations(n))
			}
		}
		return nil
	}})
}

// set takes over the remotes, except those that were overruled.
func (o *overlay) set(remotes map[registry.MAC]Remote) {
	o.remotes = make(map[registry.MAC]Remote, len(remotes))
	overruled := map[registry.MAC]uint64{}
	for mac, r := range remotes {
		if before, ok := o.overruled[mac]; ok && r.Revision <= before {
			overruled[mac] = before
			continue
		}
		o.remotes[mac] = r
	}
	o.overruled = overruled
}

// overrule notes that a MAC was seen here, and returns the revision of the remote that said otherwise, or 0.
func (o *overlay) overrule(mac registry.MAC) uint64 {
	r, ok := o.remotes[mac]
	if !ok {
		return 0
	}
	delete(o.remotes, mac)
	if o.overruled == nil {
		o.overruled = map[registry.MAC]uint64{}
	}
	o.overruled[mac] = r.Revision
	return r.Revision
}

// addRemotes adds the locations of MACs behind other hosts. They come before a port that a binding names: other hosts may have
// ports of the same name.
func (n *network) addRemotes(next locations, before *locations, known map[int]*port) {
	if len(n.overlay.remotes) == 0 {
		return
	}
	for _, p := range known {
		if !p.isOverlay() {
			continue
		}
		for mac, r := range n.overlay.remotes {
			if !n.config().Registry.IsRegistered(mac) {
				continue
			}
			next[mac] = p.remoteLocation(mac, r, before)
		}
	}
}

func (p *port) remoteLocation(mac registry.MAC, r Remote, before *locations) location {
	if before != nil {
		if was, ok := (*before)[mac]; ok && was.from == FromHost && was.host == r.Host && was.index == p.link.Index {
			return was
		}
	}
	at := location{since: time.Now(), from: FromHost, host: r.Host, index: p.link.Index}
	at.Port = p.link.Name
	return at
}

// ensureOverlays makes the VXLAN devices that are missing. If it has made any, it returns a new snapshot.
func (f *Fabric) ensureOverlays(s link.Snapshot) (link.Snapshot, error) {
	made, err := f.ensureOverlaysIn(s)
	if !made {
		return s, err
	}
	next, failed := link.ReadSnapshot()
	if failed != nil {
		return s, errors.Join(err, failed)
	}
	_, failed = f.ensureOverlaysIn(next) // which notes the devices
	return next, errors.Join(err, failed)
}

func (f *Fabric) ensureOverlaysIn(s link.Snapshot) (made bool, err error) {
	var problems []error
	for _, n := range f.networks {
		if n.isWaiting() {
			continue
		}
		n.findBridge(s, f.networks)
		isNew, err := n.ensureOverlay(s)
		problems = append(problems, n.problem(err))
		made = made || isNew && err == nil
	}
	return made, errors.Join(problems...)
}

// ensureOverlay makes the VXLAN device if it is missing, and keeps the bridge from learning behind it and from flooding to it.
func (n *network) ensureOverlay(s link.Snapshot) (made bool, err error) {
	o := n.config().Overlay
	if o.Device == "" {
		n.overlay = overlay{}
		return false, nil
	}
	l, exists := s.Find(o.Device)
	if !exists {
		_, packet, _ := link.WithAddress(o.Local)
		return true, link.AddVXLAN(link.VXLAN{Name: o.Device, VNI: o.VNI, Local: o.Local}, n.bridge, cmp.Or(packet, usualPacket))
	}
	if s.MasterOf(o.Device) != n.bridge {
		return false, nil
	}
	if l.Index != n.overlay.device.Index {
		if err := link.Isolate(l); err != nil {
			return false, err
		}
		n.overlay.device, n.overlay.tunnels = l, nil
	}
	return false, n.writeTunnels()
}

// usualPacket is the MTU of Ethernet.
const usualPacket = 1500

// writeTunnels brings the FDB of the VXLAN device in line with the remotes. Until they are known, the entries that an earlier
// fabric has left stay.
func (n *network) writeTunnels() (err error) {
	o := &n.overlay
	if o.device.Index == 0 || o.remotes == nil {
		return nil
	}
	if o.tunnels == nil {
		if o.tunnels, err = link.ReadTunnels(o.device); err != nil {
			return err
		}
	}
	var problems []error
	for mac, r := range o.remotes {
		if o.tunnels[link.MAC(mac)] == r.Tunnel {
			continue
		}
		if err := link.SetTunnel(o.device, link.MAC(mac), r.Tunnel); err != nil {
			problems = append(problems, err)
			continue
		}
		o.tunnels[link.MAC(mac)] = r.Tunnel
	}
	for mac, to := range o.tunnels {
		if _, ok := o.remotes[registry.MAC(mac)]; ok {
			continue
		}
		if err := link.DeleteTunnel(o.device, mac, to); err != nil {
			problems = append(problems, err)
			continue
		}
		delete(o.tunnels, mac)
	}
	return errors.Join(problems...)
}

// overlayFindings returns findings about the VXLAN device, and about frames that do not fit into it.
func (n *network) overlayFindings(s link.Snapshot) (findings []string) {
	o := n.config().Overlay
	l, exists := s.Find(o.Device)
	if o.Device == "" || !exists {
		return nil
	}
	add := func(format string, args ...any) { findings = append(findings, fmt.Sprintf(format, args...)) }
	v, ok := link.FindVXLAN(o.Device)
	switch {
	case !ok:
		add("%s is not a VXLAN device; name another one in overlay.device, or delete it, and arpfabric makes it", o.Device)
		return findings
	case v.VNI != o.VNI || v.Local != o.Local:
		add("%s has the VNI %d and sends from %s, but the overlay has %d and %s; delete it, and arpfabric makes it again", o.Device, v.VNI,
			v.Local, o.VNI, o.Local)
	case v.Learns:
		add("%s learns from other hosts' packets where guests are; switch it off: ip link set %s type vxlan nolearning", o.Device, o.Device)
	}
	name, packet, ok := link.WithAddress(o.Local)
	if !ok {
		add("no interface has %s, the address of overlay.local; the other hosts send to it", o.Local)
		return findings
	}
	if l.MTU > packet-link.VXLANOverhead {
		add("%s takes packets of %d bytes, too few for the tunnel: ip link set %s mtu %d", name, packet, o.Device, packet-link.VXLANOverhead)
	}
	for _, guest := range n.guestPorts(s) {
		if guest.MTU > l.MTU {
			add("the MTU of %s is %d, but the tunnel to other hosts takes %d; larger packets are lost: set the MTU of the guests and their "+
				"ports to %d, or that of %s to %d and that of %s to %d", guest.Name, guest.MTU, l.MTU, l.MTU, name,
				guest.MTU+link.VXLANOverhead, o.Device, guest.MTU)
			break // one says it
		}
	}
	return findings
}

// Guests returns the located MACs behind the guest ports of networks with an overlay.
func (f *Fabric) Guests() []Located {
	var all []Located
	for _, n := range *f.running.Load() {
		now, t := n.locations.Load(), f.ports.Load()
		if now == nil || n.config().Overlay.Device == "" {
			continue
		}
		for mac, at := range *now {
			if at.from != FromHost && !t.isUplink(at.index) {
				all = append(all, n.located(mac, at))
			}
		}
	}
	return all
}
