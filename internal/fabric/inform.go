package fabric

import (
	"iter"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// maxInformed limits the addresses that are announced after one reload. For the others, guests send a request when
// their neighbour entries expire.
const maxInformed = 1024

// inform announces to a network's guests, and to hosts behind its uplinks, the addresses whose MAC has changed (gratuitous
// ARP). Otherwise they would use the old MAC until their neighbour entries expire.
func (f *Fabric) inform(n *network, d registry.Difference) {
	c := n.config()
	if !c.Inform || c.Mode != config.VPC || c.Attach.Kind == config.AttachSidecar { // hosts.refresh corrects the entries of a sidecar's guest
		return
	}
	informed := n.uplinks(f.interfaces)
	for _, p := range f.ports.Load().byIndex {
		if p.network == n {
			informed = append(informed, p)
		}
	}
	var frames []wire.Frame
	addresses := 0
	for addr, mac := range movedAddresses(d) {
		addresses++
		for _, p := range informed {
			frames = append(frames, p.announcement(addr, mac))
		}
	}
	if len(frames) == 0 {
		return
	}
	if err := f.announceTo(n, frames); err != nil {
		f.log.Error("cannot announce changed MACs", "network", c.Name, "error", err)
		return
	}
	f.log.Info("announced changed MACs", "network", c.Name, "addresses", addresses)
}

// announcement returns an announcement (gratuitous ARP) that addr is at mac, to the port's guests, or to the hosts behind
// an uplink.
func (p *port) announcement(addr netip.Addr, mac registry.MAC) wire.Frame {
	data := make([]byte, responder.MinFrameLen)
	responder.WriteAnnouncement(data, addr, mac)
	if p.in.Source != (registry.MAC{}) { // so that a switch does not learn the owner's MAC on the fabric's port
		copy(data[len(registry.MAC{}):], p.in.Source[:])
	}
	return wire.Frame{Port: p.link.Index, Data: p.tagged(data)}
}

// tagged returns a frame with the port's VLAN tag (IEEE 802.1Q), if frames have one there.
func (p *port) tagged(frame []byte) []byte {
	const addresses, protocol = 2 * len(registry.MAC{}), 0x8100
	vlan := p.tag()
	if vlan == 0 {
		return frame
	}
	return slices.Insert(frame, addresses, protocol>>8, protocol&0xff, byte(vlan>>8), byte(vlan))
}

// announceTo sends frames out of their ports, or, with a TAP, into its bridge.
func (f *Fabric) announceTo(n *network, frames []wire.Frame) error {
	if n.config().Attach.Kind == config.AttachTAP {
		_, err := n.server.conn.Write(frames)
		return err
	}
	return sendFrames(frames)
}

// movedAddresses yields the addresses whose MAC has changed, with the new MAC, up to maxInformed of them.
func movedAddresses(d registry.Difference) iter.Seq2[netip.Addr, registry.MAC] {
	return func(yield func(netip.Addr, registry.MAC) bool) {
		left := maxInformed
		for run := range d.Moved() {
			for addr := run.First; !run.Last.Less(addr); addr = addr.Next() {
				if left == 0 || !yield(addr, run.MAC) {
					return
				}
				left--
			}
		}
	}
}
