package replay

import (
	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
)

// An evaluator decides about the frames of one network as the fabric does.
type evaluator struct {
	responder *responder.Responder
	vlan      uint16 // the network's VLAN of a bridge; 0 for none
	untagged  []byte // the last frame without the tag of the network's VLAN
	out       [responder.MaxReplyLen]byte
}

func newEvaluator(n *config.Network) *evaluator {
	return &evaluator{responder: responder.New(n.Registry, n.Policy), vlan: n.Attach.VLAN}
}

// inVLAN returns a frame as the ports of the network's VLAN carry it: a tag of that VLAN is what an uplink or the bridge
// adds. ok is false if the frame is of another VLAN, and so of no concern to the network.
func (e *evaluator) inVLAN(data []byte) (frame []byte, ok bool) {
	h, parsed := responder.ParseHeader(data)
	switch {
	case e.vlan == 0 || !parsed || h.Tags != 1 || h.VLAN() == 0:
		return data, true
	case h.VLAN() != e.vlan:
		return data, false
	}
	const addresses, tag = 12, 4
	e.untagged = append(append(e.untagged[:0], data[:addresses]...), data[addresses+tag:]...)
	return e.untagged, true
}

// decide decides about a guest's frame, and returns the MAC in the answer, or zero if there is no answer. The ingress
// port is unknown; decide assumes the port that the sender's binding names.
func (e *evaluator) decide(data []byte) (responder.Verdict, registry.MAC) {
	v := e.responder.Decide(responder.Ingress{}, data, e.out[:])
	if v.Reason == responder.SpoofedSender {
		bound, _ := e.responder.Registry().Lookup(responder.SenderIdentityOf(data).Sender)
		v = e.responder.Decide(responder.Ingress{Port: bound.Port}, data, e.out[:])
	}
	if v.Action != responder.Reply {
		return v, registry.MAC{}
	}
	return v, responder.SenderIdentityOf(e.out[:v.Len]).MAC
}

// A packet is the ARP packet of a frame.
type packet struct {
	arp.Packet
	tag uint16 // the TCI of the outermost VLAN tag; 0 without one
}

// packetOf returns the ARP packet in a frame. ok is false if the frame has no complete one.
func packetOf(data []byte) (p packet, ok bool) {
	h, ok := responder.ParseHeader(data)
	if !ok {
		return p, false
	}
	p.tag = h.TCI
	err := p.UnmarshalBinary(data[h.Len:])
	return p, err == nil
}
