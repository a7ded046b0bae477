package responder_test

import (
	"bytes"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
)

// TestSourceIsOfRepliesAlone gives a Source with frames that get no reply: nothing may be written into out.
func TestSourceIsOfRepliesAlone(t *testing.T) {
	r := fabric(t, responder.Policy{IgnoreSelfProbe: true})
	self := request(guestMAC, noIP, guestIP)
	reply := ask.with(func(f *arpFrame) { f.operation = 2 })
	tests := []struct {
		name   string
		kind   responder.PortKind
		frame  []byte
		want   responder.Action
		reason responder.Reason
	}{
		{"unknown target", responder.GuestPort, request(guestMAC, guestIP, strangerIP).bytes(), drop, responder.UnknownTarget},
		{"announcement", responder.GuestPort, request(guestMAC, guestIP, guestIP).bytes(), drop, responder.Announcement},
		{"self probe, ignored", responder.GuestPort, self.bytes(), drop, responder.SelfProbe},
		{"spoofed sender", responder.GuestPort, request(guestMAC, otherIP, gatewayIP).bytes(), drop, responder.SpoofedSender},
		{"tagged", responder.GuestPort, ask.tagged(0x8100_0005).bytes(), drop, responder.UnexpectedVLAN},
		{"guest's reply", responder.GuestPort, reply.bytes(), drop, responder.GuestReply},
		{"reply from an uplink", responder.Uplink, reply.bytes(), responder.Pass, responder.GuestReply},
		{"not ARP", responder.GuestPort, datagram.bytes(), responder.Pass, responder.NotARP},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := bytes.Repeat([]byte{0xcc}, responder.MaxReplyLen)
			out := bytes.Clone(before)
			v := r.Decide(responder.Ingress{Port: "vnet2", Kind: tt.kind, Source: denyMAC}, tt.frame, out)
			if v.Action != tt.want || v.Reason != tt.reason {
				t.Errorf("%s (%s), want %s (%s)", v.Action, v.Reason, tt.want, tt.reason)
			}
			if !bytes.Equal(out, before) {
				t.Errorf("out is %x", out)
			}
		})
	}
}
