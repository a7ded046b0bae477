package fabric

import (
	"maps"
	"net/netip"
	"time"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/ethernet"
)

// A sighting is a frame that shows behind which port its sender is.
type sighting struct {
	port *port
	mac  registry.MAC
	from Evidence

	macOnly bool // see responder.Location

	// announced means that the frame is an announcement: of addr, or of the MAC alone (RARP) if addr is not valid.
	announced bool
	addr      netip.Addr
}

// maxSightings limits the sightings that wait for the loop. More are dropped: the MAC will send another frame.
const maxSightings = 256

// see notes where the sender of a frame is, unless the fabric knows. It does not wait for the loop, and allocates no memory
// for a frame that shows nothing new.
func (f *Fabric) see(p *port, s *settings, frame []byte, reason responder.Reason) {
	known := p.network.locations.Load()
	if !p.locates || known == nil || len(frame) < sourceEnd {
		return
	}
	before := (*known)[registry.MAC(frame[sourceEnd-len(registry.MAC{}):sourceEnd])]
	isKnown := before.index == p.link.Index && !before.MACOnly
	if isKnown && !mayAnnounce(reason) {
		return
	}
	at, ok := s.responder.Locate(p.in, frame)
	if !ok || isKnown && !at.Announced {
		return
	}
	seen := sighting{port: p, mac: at.MAC, from: evidenceIn(frame, at), macOnly: at.MACOnly, announced: at.Announced}
	if at.Announced {
		seen.addr = responder.SenderIdentityOf(frame).Sender
	}
	select {
	case f.sightings <- seen:
	default:
		return
	}
	if before.index == 0 && p.in.Kind == responder.GuestPort {
		// Before the first answer: what others send then goes to no other guest. If this fails, the loop tries again.
		_ = link.WriteFDB(link.FDBEntry{MAC: link.MAC(at.MAC), VLAN: p.link.VLAN, Port: p.link.Index}, link.FDBEntry{})
	}
}

// sourceEnd is where the source ends in an Ethernet frame.
const sourceEnd = 12

// mayAnnounce reports whether a frame with a verdict's reason may be an announcement.
func mayAnnounce(reason responder.Reason) bool {
	return reason == responder.Announcement || reason == responder.GuestReply || reason == responder.RARPAnnouncement
}

func evidenceIn(frame []byte, at responder.Location) Evidence {
	const rarp = 0x8035
	switch header, _ := responder.ParseHeader(frame); {
	case header.EtherType == ethernet.EtherTypeIPv4 && at.MACOnly:
		return FromDHCP
	case header.EtherType == ethernet.EtherTypeIPv4:
		return FromIPv4
	case header.EtherType == ethernet.EtherTypeIPv6:
		return FromIPv6
	case header.EtherType == rarp:
		return FromRARP
	}
	return FromARP
}

// learn takes over a sighting, and applies the new location. Then it sends announcements to uplinks.
func (f *Fabric) learn(first sighting) (err error) {
	if f.takeOver(first) {
		err = f.applyPlan()
	}
	f.relay()
	return err
}

// takeOver takes over sightings, and all others that wait. It reports whether a location has changed.
func (f *Fabric) takeOver(list ...sighting) (moved bool) {
	for range len(f.sightings) {
		list = append(list, <-f.sightings)
	}
	next := map[*network]locations{}
	for _, s := range list {
		n := s.port.network
		if next[n] == nil {
			now := n.locations.Load()
			if now == nil {
				continue // the network has got another configuration
			}
			next[n] = maps.Clone(*now)
		}
		f.take(next[n], s)
		if s.announced {
			f.announced = append(f.announced, s)
		}
	}
	for n, l := range next {
		if !maps.Equal(*n.locations.Load(), l) {
			n.locations.Store(&l)
			moved = true
		}
	}
	return moved
}

// take puts a sighting into the locations, unless the port has left the bridge, the MAC has bindings to other ports, or a better frame has
// located it.
func (f *Fabric) take(l locations, s sighting) {
	p := f.ports.Load().locationPort(s.port)
	at, located := l[s.mac]
	if p == nil && !located {
		s.setAside()
	}
	if p == nil || p.isOverlay() || at.from == FromBinding || !p.network.config().Registry.MaySend(s.mac, p.link.Name) || located && s.macOnly && !at.MACOnly {
		return
	}
	if at.index == p.link.Index {
		at.from, at.MACOnly = s.from, s.macOnly
		l[s.mac] = at
		return
	}
	// A MAC that was found behind an uplink always returns: otherwise one reflected frame would cut its guest off. Another
	// host says that a MAC is there only after it has checked its frames.
	isBack := f.ports.Load().isUplink(at.index) && at.from != FromHost
	if located && !isBack && !p.network.moves.allow(s.mac, time.Now()) {
		if p.network.noteClone(s.mac, at.Port, p.link.Name, time.Now()) {
			f.report(p.network, f.interfaces)
		}
		return
	}
	next := location{Location: datapath.Location{MACOnly: s.macOnly}, since: time.Now(), from: s.from}
	next.overrules = max(at.overrules, p.network.overlay.overrule(s.mac))
	if p.in.Kind == responder.Uplink {
		next.VLAN = p.network.config().Attach.VLAN
	}
	l[s.mac] = p.location(s.mac, next)
}

// setAside keeps what a sighting shows for when its guest port, which has just left the bridge, comes back.
func (s sighting) setAside() {
	n := s.port.network
	if s.port.in.Kind == responder.GuestPort && n.config().Registry.MaySend(s.mac, s.port.link.Name) {
		at := location{Location: datapath.Location{MACOnly: s.macOnly}, since: time.Now(), from: s.from}
		n.away[s.mac] = s.port.location(s.mac, at)
	}
}

// relay sends the announcements that were taken over out of their network's uplinks, so that switches outside learn where the
// guest is after it has moved here. They reach no guest: the frames pass the bridge by.
func (f *Fabric) relay() {
	var frames []wire.Frame
	list := f.announced
	f.announced = nil
	for _, s := range list {
		now := s.port.network.locations.Load()
		if !s.announced || s.port.in.Kind != responder.GuestPort || now == nil || (*now)[s.mac].index != s.port.link.Index {
			continue
		}
		if !s.port.network.relays.allow(s.mac, time.Now()) {
			continue
		}
		for _, up := range f.ports.Load().uplinks {
			if up.network == s.port.network && !up.isOverlay() { // into the overlay goes no broadcast
				frames = append(frames, up.announcementOf(s))
			}
		}
	}
	if len(frames) == 0 {
		return
	}
	if err := sendFrames(frames); err != nil {
		f.log.Error("cannot announce a guest to the uplinks", "error", err)
	}
}

// announcementOf returns the guest's announcement, written anew, as it leaves by the uplink p.
func (p *port) announcementOf(s sighting) wire.Frame {
	data := make([]byte, responder.MinFrameLen)
	if s.addr.IsValid() {
		responder.WriteAnnouncement(data, s.addr, s.mac)
	} else {
		responder.WriteRARP(data, s.mac)
	}
	return wire.Frame{Port: p.link.Index, Data: p.tagged(data)}
}

// sendFrames sends frames out of their ports, past the bridge. It does not use the datapath's socket, by which another
// goroutine sends answers.
func sendFrames(frames []wire.Frame) error {
	out, err := wire.OpenPacket(0, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = out.Write(frames)
	return err
}
