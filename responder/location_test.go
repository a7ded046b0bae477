package responder_test

import (
	"bytes"
	"testing"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// TestLocate has frames that show where their sender is, and frames that don't.
func TestLocate(t *testing.T) {
	arp := func(change func(*arpFrame)) []byte { return ask.with(change).bytes() }
	ipv4 := func(change func(*ipFrame)) []byte { return datagram.with(change).bytes() }
	guest := responder.Ingress{Port: "vnet1", AllowList: true}
	uplink := responder.Ingress{Port: "eth0", Kind: responder.Uplink}
	trunk := responder.Ingress{Port: "eth0", Kind: responder.Uplink, Trunk: true}
	ofHost := responder.Ingress{Port: "vnet1", AllowList: true, HostMAC: guestMAC}
	none, seen := responder.Location{}, responder.Location{MAC: guestMAC}
	announced := responder.Location{MAC: guestMAC, Announced: true}
	byMAC := responder.Location{MAC: guestMAC, MACOnly: true}
	tied := func(f *arpFrame) { f.src, f.senderMAC, f.senderIP = tiedMAC, tiedMAC, ip("10.239.0.103") }
	for _, tt := range []struct {
		name  string
		in    responder.Ingress
		frame []byte
		want  responder.Location
	}{
		{"a request", guest, ask.bytes(), seen},
		{"a request for nobody", guest, arp(func(f *arpFrame) { f.targetIP = strangerIP }), seen},
		{"a request over the rate limit", responder.Ingress{Port: "vnet1", RateLimited: true}, ask.bytes(), seen},
		{"a reply", guest, arp(func(f *arpFrame) { f.operation = 2 }), seen},
		{"an announcement", guest, arp(func(f *arpFrame) { f.targetIP = guestIP }), announced},
		{"an announcement by a reply", guest, arp(func(f *arpFrame) { f.operation, f.targetIP = 2, guestIP }), announced},
		{"an unsupported operation", guest, arp(func(f *arpFrame) { f.operation = 3 }), none},
		{"a probe", guest, arp(func(f *arpFrame) { f.senderIP = noIP }), none},
		{"a probe that looks like an announcement", guest, arp(func(f *arpFrame) { f.senderIP, f.targetIP = noIP, noIP }), none},
		{"another's address", guest, arp(func(f *arpFrame) { f.senderIP = otherIP }), none},
		{"another's address, announced", guest, arp(func(f *arpFrame) { f.senderIP, f.targetIP = otherIP, otherIP }), none},
		{"an unregistered address", guest, arp(func(f *arpFrame) { f.senderIP = strangerIP }), none},
		{"another's MAC in the frame", guest, arp(func(f *arpFrame) { f.src = otherMAC }), none},
		{"a group's MAC", guest, arp(func(f *arpFrame) { f.src, f.senderMAC = broadcast, broadcast }), none},
		{"a stranger", guest, arp(func(f *arpFrame) { f.src, f.senderMAC = strangerMAC, strangerMAC }), none},
		{"the host's MAC", ofHost, ask.bytes(), none},
		{"tagged", guest, ask.tagged(0x8100_0005).bytes(), none},
		{"tagged, on a trunk", trunk, ask.tagged(0x8100_0005).bytes(), seen},
		{"cut", guest, ask.bytes()[:41], none},
		{"nothing", guest, nil, none},
		{"by an uplink", uplink, ask.bytes(), seen},
		{"by an uplink, another's address", uplink, arp(func(f *arpFrame) { f.senderIP = otherIP }), none},
		{"by an uplink, tied to a port", uplink, arp(tied), none},
		{"tied to another port", guest, arp(tied), none},
		{"tied to the port", responder.Ingress{Port: "vnet3"}, arp(tied), responder.Location{MAC: tiedMAC}},
		{"IPv4", guest, datagram.bytes(), seen},
		{"IPv4 to nobody", guest, ipv4(func(f *ipFrame) { f.dst = strangerMAC }), seen},
		{"IPv4 from another's address", guest, ipv4(func(f *ipFrame) { f.srcIP = otherIP }), none},
		{"IPv4 from an unregistered address", guest, ipv4(func(f *ipFrame) { f.srcIP = strangerIP }), none},
		{"IPv4 from another's MAC", guest, ipv4(func(f *ipFrame) { f.src = otherMAC }), none},
		{"IPv4, tagged", guest, ipv4(func(f *ipFrame) { f.tags = []uint32{0x8100_0005} }), none},
		{"IPv4, cut", guest, datagram.bytes()[:33], none},
		{"IPv4, not compared with the registry", responder.Ingress{Port: "vnet1"}, datagram.bytes(), none},
		{"DHCP without an address", guest, discover.bytes(), byMAC},
		{"DHCP without an address, of a stranger", guest, discover.with(func(f *ipFrame) { f.src = strangerMAC }).bytes(), none},
		{"DHCP that rebinds", guest, discover.with(func(f *ipFrame) { f.srcIP = guestIP }).bytes(), seen},
		{"DHCP that rebinds another's address", guest, discover.with(func(f *ipFrame) { f.srcIP = otherIP }).bytes(), none},
		{"IPv4 without an address", guest, ipv4(func(f *ipFrame) { f.srcIP = noIP }), none},
		{"IPv6", guest, ipv4(func(f *ipFrame) { f.etherType = 0x86dd }), byMAC},
		{"RARP", guest, ipv4(func(f *ipFrame) { f.etherType = 0x8035 }), announced},
		{"RARP of a stranger", guest, ipv4(func(f *ipFrame) { f.etherType, f.src = 0x8035, strangerMAC }), none},
		{"RARP, tied to another port", guest, ipv4(func(f *ipFrame) { f.etherType, f.src = 0x8035, tiedMAC }), none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := fabric(t, responder.Policy{AnySender: true, PassIPv6: true}) // `sender: any` skips a check of ARP, but not this one
			n.record(tt.in, tt.frame)
			var got responder.Location
			var ok bool
			allocs := testing.AllocsPerRun(10, func() { got, ok = n.Locate(tt.in, tt.frame) })
			if ok != (tt.want != none) || ok && got != tt.want {
				t.Errorf("%+v, %t; want %+v", got, ok, tt.want)
			}
			if allocs != 0 {
				t.Errorf("%v allocations", allocs)
			}
		})
	}
}

func TestLocateIPv6Dropped(t *testing.T) {
	frame := datagram.with(func(f *ipFrame) { f.etherType = 0x86dd }).bytes()
	if at, ok := fabric(t, responder.Policy{}).Locate(responder.Ingress{AllowList: true}, frame); ok {
		t.Errorf("IPv6 that the policy drops shows %+v", at)
	}
}

// TestLocateSeveralBindings has a MAC with one binding that names a port, and one that names none: no frame shows that it is
// behind another port.
func TestLocateSeveralBindings(t *testing.T) {
	tied := bind("10.239.0.102", guestMAC.String())
	tied.Port = "vnet3"
	r := responder.New(registrytest.New(t, bind("10.239.0.101", guestMAC.String()), tied), responder.Policy{})
	for port, want := range map[string]bool{"vnet1": false, "vnet3": true} {
		if _, ok := r.Locate(responder.Ingress{Port: port}, ask.bytes()); ok != want {
			t.Errorf("a request by %s shows a location: %t; want %t", port, ok, want)
		}
	}
}

func FuzzLocate(f *testing.F) {
	f.Add(ask.bytes())
	f.Add(datagram.bytes())
	r := fabric(f, responder.Policy{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		in := responder.Ingress{Port: "vnet1", AllowList: true}
		at, ok := r.Locate(in, frame)
		if !ok {
			return
		}
		if at.MAC != registry.MAC(frame[6:12]) || !r.Registry().MaySend(at.MAC, in.Port) {
			t.Errorf("%+v is not the frame's sender, or may not send here", at)
		}
		switch v := r.Decide(in, frame, make([]byte, responder.MaxReplyLen)); v.Reason {
		case responder.SpoofedSender, responder.UnregisteredSender, responder.SpoofedSource, responder.UnregisteredSource:
			t.Errorf("a frame that is %s shows %+v", v.Reason, at)
		}
	})
}

func TestWriteRARP(t *testing.T) {
	out := dirtyBuffer()
	n := responder.WriteRARP(out, guestMAC)
	// As QEMU's announce_self_create writes it (net/announce.c), padded to 60 bytes.
	want := unhex(t, `ffffffffffff 020006de54a8 8035 0001 0800 06 04 0003
		020006de54a8 00000000 020006de54a8 00000000 000000000000000000000000000000000000`)
	if !bytes.Equal(out[:n], want) {
		t.Errorf("%x\nwant\n%x", out[:n], want)
	}
}
