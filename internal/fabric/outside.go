package fabric

import (
	"net/netip"
	"time"

	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/ethernet"
)

// outside has the requests of a network's guests that the fabric has sent out of the uplinks, because the registry does
// not have the address (`unknown_target: uplink`), and that may still be answered there. The kernel drops the answers on
// their way to guests; the fabric sends each to the guest that has asked. Only the datapath's server uses it. The zero
// outside has none.
type outside struct {
	asked   map[question]asked
	perPort map[int]int // number of questions by ifindex
}

// A question is a request for an address, by its sender.
type question struct {
	mac            registry.MAC
	sender, target netip.Addr
}

type asked struct {
	port int // ifindex
	at   time.Time
}

const (
	answerTime   = 3 * time.Second        // an answer after it is dropped; the kernel asks again after one second
	repeatTime   = 200 * time.Millisecond // within it, a repeated request is not sent again
	maxQuestions = 64                     // of one port at a time, so that it neither floods the outside nor fills the memory
)

// ask notes a request that came in by a guest port. It reports whether to send it out of the uplinks.
func (o *outside) ask(q question, port int, now time.Time) bool {
	before, isRepeated := o.asked[q]
	switch {
	case isRepeated && before.port == port && now.Sub(before.at) < repeatTime:
		return false
	case isRepeated:
		o.forget(q)
	case o.perPort[port] >= maxQuestions:
		if o.forgetOld(now); o.perPort[port] >= maxQuestions {
			return false
		}
	}
	if o.asked == nil {
		o.asked, o.perPort = map[question]asked{}, map[int]int{}
	}
	o.asked[q] = asked{port, now}
	o.perPort[port]++
	return true
}

// answer returns the ifindex of the port that has asked a question, and forgets the question.
func (o *outside) answer(q question, now time.Time) (port int, ok bool) {
	a, ok := o.asked[q]
	if !ok {
		return 0, false
	}
	o.forget(q)
	return a.port, now.Sub(a.at) <= answerTime
}

func (o *outside) forget(q question) {
	port := o.asked[q].port
	delete(o.asked, q)
	if o.perPort[port]--; o.perPort[port] == 0 {
		delete(o.perPort, port)
	}
}

func (o *outside) forgetOld(now time.Time) {
	for q, a := range o.asked {
		if now.Sub(a.at) > answerTime {
			o.forget(q)
		}
	}
}

// passOutside sends a guest's request for an address without a binding out of the uplinks, and a reply from an uplink to
// the guest that has asked. It appends the frames to b.more.
func (f *Fabric) passOutside(b *batch, p *port, s *settings, frame []byte, v responder.Verdict) {
	if v.Action != responder.Pass || !s.config.Policy.UnknownToUplinks || !p.network.guarded() {
		return
	}
	id := responder.SenderIdentityOf(frame)
	switch {
	case v.Reason == responder.UnknownTarget && p.in.Kind == responder.GuestPort:
		if !p.network.outside.ask(question{id.MAC, id.Sender, id.Target}, p.link.Index, b.read) {
			return
		}
		to := registry.MAC(frame[:len(registry.MAC{})])
		if !to.IsUnicast() {
			to = broadcast
		}
		for _, uplink := range b.ports.uplinks {
			if uplink.network == p.network {
				b.more = append(b.more, wire.Frame{Port: uplink.link.Index, Data: uplink.tagged(arpTo(to, frame))})
			}
		}
	case v.Reason == responder.GuestReply && p.in.Kind == responder.Uplink:
		q := question{targetOf(frame), id.Target, id.Sender}
		port, ok := p.network.outside.answer(q, b.read)
		if _, bound := s.config.Registry.Lookup(id.Sender); ok && !bound {
			b.more = append(b.more, wire.Frame{Port: port, Data: arpTo(q.mac, frame)})
		}
	}
}

var broadcast = registry.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// arpLen is the length in bytes of an ARP packet for IPv4 over Ethernet (RFC 826).
const arpLen = 28

// arpTo returns a copy of a sound ARP frame, to another destination, without VLAN tags, and padded with zeros. What follows
// the packet is left out.
func arpTo(destination registry.MAC, frame []byte) []byte {
	header, _ := responder.ParseHeader(frame)
	data := make([]byte, responder.MinFrameLen)
	n := copy(data, destination[:])
	n += copy(data[n:], header.Source[:])
	data[n], data[n+1] = byte(ethernet.EtherTypeARP>>8), byte(ethernet.EtherTypeARP&0xff)
	copy(data[n+2:], frame[header.Len:header.Len+arpLen])
	return data
}

// targetOf returns the TargetHardwareAddr of a sound ARP frame.
func targetOf(frame []byte) registry.MAC {
	const at = 18 // in the packet
	header, _ := responder.ParseHeader(frame)
	return registry.MAC(frame[header.Len+at : header.Len+at+len(registry.MAC{})])
}
