package fabric

import (
	"iter"
	"net/netip"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
)

// maxInformed is how many addresses are announced after one reload. Guests ask again for the others, when
// they notice.
const maxInformed = 1024

// inform tells a network's guests which addresses have another MAC than they had before: the fabric is
// nobody whose silence they would notice.
func (f *Fabric) inform(n *network, before *responder.Registry) {
	c := n.config()
	if !c.Inform || c.Mode != config.VPC || c.Attach.Sidecar != "" { // a sidecar's guest has its entries corrected
		return
	}
	var frames []wire.Frame
	moved := movedAddresses(before, c.Registry)
	for addr, mac := range moved {
		data := make([]byte, responder.MinFrameLen)
		responder.WriteAnnouncement(data, addr, mac)
		for _, p := range f.ports.Load().byIndex {
			if p.network == n {
				frames = append(frames, wire.Frame{Port: p.link.Index, Data: data})
			}
		}
	}
	if len(frames) == 0 {
		return
	}
	if err := f.announceTo(n, frames); err != nil {
		f.log.Error("can't inform guests", "network", c.Name, "error", err)
		return
	}
	f.log.Info("guests informed of other MACs", "network", c.Name, "addresses", len(moved))
}

// announceTo sends frames to guests, straight out of their ports, or into the bridge that a TAP is in.
func (f *Fabric) announceTo(n *network, frames []wire.Frame) error {
	if n.config().Attach.TAP != "" {
		_, err := n.line.conn.Write(frames)
		return err
	}
	out, err := wire.OpenPacket(0, 0) // the one that answers leave by is in use
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = out.Write(frames)
	return err
}

// movedAddresses returns the addresses, up to maxInformed, that have a MAC in both registries, and another one
// in the second.
func movedAddresses(before, after *responder.Registry) map[netip.Addr]responder.MAC {
	moved := map[netip.Addr]responder.MAC{}
	for addr := range changedAddresses(before, after) {
		was, had := before.Lookup(addr)
		if is, has := after.Lookup(addr); had && has && is.MAC != was.MAC {
			moved[addr] = is.MAC
		}
		if len(moved) == maxInformed {
			break
		}
	}
	return moved
}

// changedAddresses yields the addresses of the bindings that are not the same in both registries. Of a
// range it yields the first ones only: it may have millions.
func changedAddresses(a, b *responder.Registry) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, pair := range [][2]*responder.Registry{{a, b}, {b, a}} {
			for binding := range pair[0].All() {
				if isIn(pair[1], binding) {
					continue
				}
				for addr, n := binding.First, 0; !binding.Last.Less(addr) && n < maxInformed; addr, n = addr.Next(), n+1 {
					if !yield(addr) {
						return
					}
				}
			}
		}
	}
}

func isIn(r *responder.Registry, b responder.Binding) bool {
	other, ok := r.Lookup(b.First)
	return ok && other.First == b.First && other.Last == b.Last && other.MAC == b.MAC
}
