package replay

import (
	"encoding/binary"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// A judge decides as the fabric does about the frames of one network.
type judge struct {
	responder *responder.Responder
	out       [responder.MaxReplyLen]byte
}

func newJudge(n *config.Network) *judge {
	return &judge{responder: responder.New(n.Registry, n.Policy)}
}

// decide decides about a frame of a guest, and returns the MAC in the answer, where there is one. The port that
// the frame came in by is not known: it is taken to be the one that the sender's binding names.
func (j *judge) decide(data []byte) (responder.Verdict, responder.MAC) {
	v := j.responder.Handle(responder.In{}, data, j.out[:])
	if v.Reason == responder.SpoofedSender {
		bound, _ := j.responder.Registry().Lookup(responder.ClaimOf(data).Sender)
		v = j.responder.Handle(responder.In{Port: bound.Port}, data, j.out[:])
	}
	if v.Action != responder.Reply {
		return v, responder.MAC{}
	}
	return v, responder.ClaimOf(j.out[:v.Len]).MAC
}

// A packet is the ARP packet of a frame.
type packet struct {
	arp.Packet
	tag uint16 // the outermost one's content; 0 where there is none
}

// packetOf returns the packet in a frame that has a whole one.
func packetOf(data []byte) (p packet, ok bool) {
	const etherTypeAt, tagLen = 12, 4 // IEEE 802.3; IEEE 802.1Q: EtherType 2, content 2
	for at := etherTypeAt; len(data) >= at+tagLen; at += tagLen {
		switch ethernet.EtherType(binary.BigEndian.Uint16(data[at:])) {
		case ethernet.EtherTypeVLAN, ethernet.EtherTypeServiceVLAN:
			if at == etherTypeAt {
				p.tag = binary.BigEndian.Uint16(data[at+2:])
			}
		default:
			err := p.UnmarshalBinary(data[at+2:])
			return p, err == nil
		}
	}
	return p, false
}
