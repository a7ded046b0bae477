package responder_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// sharedIP may move between guestMAC, which holds it, and otherMAC.
var sharedIP = ip("10.239.0.120")

func withSharedIP(t testing.TB, policy responder.Policy, port string) network {
	t.Helper()
	vip := bind(sharedIP.String(), guestMAC.String())
	vip.Port, vip.Candidates = port, registry.MACsOf(guestMAC, otherMAC)
	return newNetwork(t, policy, bind("10.239.0.1", gatewayMAC.String()), bind("10.239.0.101", guestMAC.String()),
		bind("10.239.0.102", otherMAC.String()), vip)
}

func TestHolder(t *testing.T) {
	ask := func(mac registry.MAC) arpFrame { return request(mac, sharedIP, gatewayIP) }
	announce := func(mac registry.MAC) arpFrame { return request(mac, sharedIP, sharedIP) }
	asReply := func(f arpFrame) arpFrame { return f.with(func(f *arpFrame) { f.operation = 2 }) }
	guest, uplink := responder.Ingress{Port: "vnet1"}, responder.Ingress{Port: "vnet1", Kind: responder.Uplink}
	for _, tt := range []struct {
		name            string
		policy          responder.Policy
		in              responder.Ingress
		port            string // that the binding names
		frame           arpFrame
		action          responder.Action
		reason          responder.Reason
		announcesHolder bool
	}{
		{name: "the holder asks", in: guest, frame: ask(guestMAC), action: reply, reason: responder.Answered},
		{name: "the holder announces", in: guest, frame: announce(guestMAC), reason: responder.Announcement, announcesHolder: true},
		{name: "a candidate asks", in: guest, frame: ask(otherMAC), reason: responder.NotHolder},
		{name: "a candidate replies to another", in: guest, frame: asReply(ask(otherMAC)), reason: responder.NotHolder},
		{name: "a candidate announces", in: guest, frame: announce(otherMAC), reason: responder.Announcement, announcesHolder: true},
		{name: "a candidate announces by a reply", in: guest, frame: asReply(announce(otherMAC)), reason: responder.GuestReply, announcesHolder: true},
		{name: "a candidate on its port", in: guest, port: "vnet1", frame: announce(otherMAC), reason: responder.Announcement, announcesHolder: true},
		{name: "a candidate on another port", in: guest, port: "vnet2", frame: announce(otherMAC), reason: responder.SpoofedSender},
		{name: "a candidate asks on another port", in: guest, port: "vnet2", frame: ask(otherMAC), reason: responder.SpoofedSender},
		{name: "another guest announces", in: guest, frame: announce(gatewayMAC), reason: responder.SpoofedSender},
		{name: "a candidate announces an address of its own", in: guest, frame: request(otherMAC, otherIP, otherIP), reason: responder.Announcement},
		{name: "a candidate behind an uplink announces", in: uplink, frame: announce(otherMAC), reason: responder.Announcement, announcesHolder: true},
		{name: "a candidate behind an uplink announces by a reply", in: uplink, frame: asReply(announce(otherMAC)),
			action: pass, reason: responder.GuestReply, announcesHolder: true},
		{name: "somebody behind an uplink announces", in: uplink, frame: announce(strangerMAC), reason: responder.Announcement},
		{name: "a candidate announces, any sender", policy: responder.Policy{AnySender: true}, in: guest, frame: announce(otherMAC),
			reason: responder.Announcement, announcesHolder: true},
		{name: "a candidate over its rate limit announces", in: responder.Ingress{Port: "vnet1", RateLimited: true}, frame: announce(otherMAC),
			reason: responder.RateLimited},
		{name: "another guest asks for the address", in: guest, frame: request(otherMAC, otherIP, sharedIP), action: reply, reason: responder.Answered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, answer := decide(t, withSharedIP(t, tt.policy, tt.port), tt.in, tt.frame.bytes())
			v.Len = 0
			if want := (responder.Verdict{Action: tt.action, Reason: tt.reason, AnnouncesHolder: tt.announcesHolder}); v != want {
				t.Errorf("verdict is %+v; want %+v", v, want)
			}
			if tt.reason == responder.Answered && tt.frame.targetIP == sharedIP && registry.MAC(answer[6:12]) != guestMAC {
				t.Errorf("the answer is by %s", registry.MAC(answer[6:12]))
			}
		})
	}
}

func TestAllowListHolder(t *testing.T) {
	from := func(mac registry.MAC) []byte {
		return datagram.with(func(f *ipFrame) { f.dst, f.dstIP, f.src, f.srcIP = gatewayMAC, gatewayIP, mac, sharedIP }).bytes()
	}
	to := func(mac registry.MAC) []byte {
		return datagram.with(func(f *ipFrame) { f.dst, f.dstIP, f.src, f.srcIP = mac, sharedIP, gatewayMAC, gatewayIP }).bytes()
	}
	for _, tt := range []struct {
		name  string
		port  string
		frame []byte
		want  responder.Reason
	}{
		{"from the holder", "", from(guestMAC), responder.Admitted},
		{"from a candidate", "", from(otherMAC), responder.NotHolder},
		{"from a candidate on another port", "vnet9", from(otherMAC), responder.SpoofedSource},
		{"from another guest", "", from(gatewayMAC), responder.SpoofedSource},
		{"to the holder", "", to(guestMAC), responder.Admitted},
		{"to a candidate", "", to(otherMAC), responder.ForeignDestination},
	} {
		if v := admit(t, withSharedIP(t, responder.Policy{}, tt.port), responder.Ingress{Port: "vnet1"}, tt.frame); v.Reason != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, v.Reason, tt.want)
		}
	}
}

func TestExplainHolder(t *testing.T) {
	r := withSharedIP(t, responder.Policy{}, "")
	var got []string
	for _, frame := range [][]byte{request(otherMAC, sharedIP, gatewayIP).bytes(), request(otherMAC, sharedIP, sharedIP).bytes()} {
		rows := r.Explain(responder.Ingress{Port: "vnet1"}, frame, make([]byte, responder.MaxReplyLen)).Rows
		got = append(got, rows[len(rows)-1].Reason.String()+": "+rows[len(rows)-1].Compared)
	}
	want := []string{
		"not-holder: held by 02:00:06:de:54:a8, sent by 02:00:07:de:54:a8, may move between 02:00:06:de:54:a8, 02:00:07:de:54:a8",
		"announcement: 10.239.0.120 asks for 10.239.0.120, which announces that the sender now holds the address",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the rows that decided (-want +got):\n%s", diff)
	}
}

// TestLocateHolder expects the announcement of a guest that becomes the holder to show where the guest is, and what a guest
// sends from an address that it does not hold to show nothing.
func TestLocateHolder(t *testing.T) {
	in := responder.Ingress{Port: "vnet1", AllowList: true}
	announced := responder.Location{MAC: otherMAC, Announced: true}
	for _, tt := range []struct {
		name  string
		port  string
		frame []byte
		want  responder.Location
	}{
		{"an announcement", "", request(otherMAC, sharedIP, sharedIP).bytes(), announced},
		{"an announcement on its port", "vnet1", request(otherMAC, sharedIP, sharedIP).bytes(), announced},
		{"an announcement on another port", "vnet2", request(otherMAC, sharedIP, sharedIP).bytes(), responder.Location{}},
		{"a request", "", request(otherMAC, sharedIP, gatewayIP).bytes(), responder.Location{}},
		{"IPv4", "", datagram.with(func(f *ipFrame) { f.src, f.srcIP = otherMAC, sharedIP }).bytes(), responder.Location{}},
	} {
		got, ok := withSharedIP(t, responder.Policy{}, tt.port).Locate(in, tt.frame)
		if ok != (tt.want != responder.Location{}) || ok && got != tt.want {
			t.Errorf("%s shows %+v, %v; want %+v", tt.name, got, ok, tt.want)
		}
	}
}
