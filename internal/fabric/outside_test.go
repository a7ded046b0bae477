package fabric_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
)

const toUplinks = "policy: {unknown_target: uplink}"

// laptopAddr is the address of a host behind the uplink vnet9, which the registry does not list.
var laptopAddr = netip.MustParseAddr("10.239.0.109")

// TestUnknownTargetAtUplink pings between guests and a host behind an uplink that the registry does not list, and between
// that host and the hypervisor. A third guest receives nothing of it.
func TestUnknownTargetAtUplink(t *testing.T) {
	labtest.NeedProgram(t, "ping")
	for _, guard := range []string{"full", "arp"} {
		t.Run(guard, func(t *testing.T) {
			s := build(t, onBridge)
			laptop := addGuest(t, 9, "laptop")
			f := start(t, withHost(t, network("{bridge: br0, uplinks: [vnet9]}", "policy: {unknown_target: uplink, guard: "+guard+"}")))
			s.app.expectSuccess(t, "ping", "-c", "1", "-w", "20", laptopAddr.String())
			laptop.expectSuccess(t, "ping", "-c", "1", "-w", "20", dbAddr.String())
			s.db.expectSuccess(t, "ping", "-c", "1", "-w", "20", laptopAddr.String())
			ping(t, laptopAddr)
			sendMark(t, s.app, s.idle, 1)
			if heard := s.idle.receivedARP(); len(heard) > 0 {
				t.Errorf("idle received %s", responder.Describe(heard[0]))
			}
			for _, frame := range s.idle.received() {
				if bytes.Equal(frame[:6], laptop.MAC) {
					t.Errorf("idle received %x", frame)
				}
			}
			if n := f.counts("vnet1")[responder.UnknownTarget]; n == 0 {
				t.Error("the request is not counted")
			}
		})
	}
}

// TestUnknownDestinationIsFlooded sends IPv4 to a MAC that nobody has. The bridge floods it; it reaches uplinks only.
func TestUnknownDestinationIsFlooded(t *testing.T) {
	s := build(t, onBridge)
	laptop := addGuest(t, 9, "laptop")
	start(t, network("{bridge: br0, uplinks: [vnet9]}", toUplinks))
	data := []byte("nobody's")
	frame := lab.EchoReply([]byte{2, 0, 0, 0, 0, 0x77}, s.app.MAC, s.app.Addr.Addr(), freeAddr, data)
	repeat(t, "it leaves by the uplink", func() { s.app.Send(frame) }, func() bool { return laptop.hasReceived(frame) })
	for i, g := range []*guest{s.db, s.idle} {
		sendMark(t, s.app, g, i)
		if g.hasReceived(frame) {
			t.Errorf("%s received it, too", g.Name)
		}
	}
}

// TestUnknownTargetLeaves checks the frames that leave by the uplink, and that no forged request does: it would teach the
// switches there a wrong location.
func TestUnknownTargetLeaves(t *testing.T) {
	s := build(t, onBridge)
	laptop := addGuest(t, 9, "laptop")
	laptop.setARP(t, "arp_ignore", "8") // answer nothing
	f := start(t, network("{bridge: br0, uplinks: [vnet9]}", toUplinks))
	forged := s.app.request(laptopAddr)
	forged.SenderIP = dbAddr
	probe := s.app.request(laptopAddr)
	probe.SenderIP, probe.Source, probe.SenderHardwareAddr = unspecified, laptop.MAC, laptop.MAC
	reply := s.app.request(laptopAddr)
	reply.Operation = arp.OperationReply
	for _, a := range []lab.ARP{forged, probe, reply, s.app.request(appAddr)} {
		s.app.send(t, a.Frame())
	}
	request := append(s.app.request(laptopAddr).Frame(), "memory of the guest"...)
	s.app.send(t, request)
	labtest.Eventually(t, "the request leaves", func() bool { return len(laptop.receivedARP()) > 0 })
	want := append(bytes.Clone(request[:42]), make([]byte, 18)...)
	if heard := laptop.receivedARP(); len(heard) != 1 || !bytes.Equal(heard[0], want) {
		t.Errorf("%x left, want %x", heard, want)
	}
	f.expectCounts(t, "vnet1", counts{
		responder.SpoofedSender: 1, responder.UnknownTarget: 2, responder.GuestReply: 1, responder.Announcement: 1,
	}, "all of them")
	s.expectSilence(t, s.db, s.idle)
}

// TestUnknownTargetAnswers checks that only an answer to a guest's own request reaches it, and that once.
func TestUnknownTargetAnswers(t *testing.T) {
	s := build(t, onBridge)
	laptop := addGuest(t, 9, "laptop")
	laptop.setARP(t, "arp_ignore", "8")
	f := start(t, network("{bridge: br0, uplinks: [vnet9]}", toUplinks))
	answer := func(to *guest, sender netip.Addr) []byte {
		a := laptop.request(to.Addr.Addr())
		a.Operation, a.SenderIP, a.Destination, a.TargetHardwareAddr = arp.OperationReply, sender, to.MAC, to.MAC
		return append(a.Frame(), make([]byte, 18)...)
	}
	s.app.send(t, s.app.request(laptopAddr).Frame())
	labtest.Eventually(t, "the request leaves", func() bool { return len(laptop.receivedARP()) > 0 })
	for _, frame := range [][]byte{
		answer(s.db, laptopAddr), answer(s.app, freeAddr), answer(s.app, dbAddr), answer(s.app, laptopAddr), answer(s.app, laptopAddr),
	} {
		laptop.send(t, frame)
	}
	f.expectCounts(t, "vnet9", counts{responder.GuestReply: 5}, "the answers")
	sendMark(t, laptop, s.app, 1)
	if heard := s.app.receivedARP(); len(heard) != 1 || !bytes.Equal(heard[0], answer(s.app, laptopAddr)) {
		t.Errorf("app received %x", heard)
	}
	s.expectSilence(t, s.db, s.idle)
	known, err := labtest.Neighbors(s.app.Guest)
	labtest.Must(t, err)
	if !bytes.Equal(known[laptopAddr], laptop.MAC) {
		t.Errorf("app knows %v", known)
	}
}

// TestVLANUnknownTarget checks that a request leaves by the uplink with the network's tag, and the answer comes back.
func TestVLANUnknownTarget(t *testing.T) {
	s := buildVLANs(t)
	policy := "    " + toUplinks + "\n"
	start(t, networks+ten+policy+twenty+policy)
	unlisted := netip.MustParseAddr("10.239.0.210")
	s.twin.send(t, s.twin.request(unlisted).Frame())
	labtest.Eventually(t, "the request leaves", func() bool { return len(s.outside.receivedARP()) > 0 })
	const want = "vlan 20, ARP, Request who-has 10.239.0.210 tell 10.239.0.101, length 46"
	if heard := s.outside.receivedARP(); len(heard) != 1 || responder.Describe(heard[0]) != want {
		t.Errorf("%x left, want %s", heard, want)
	}
	a := s.outside.request(s.twin.Addr.Addr())
	a.Operation, a.SenderIP, a.Destination, a.TargetHardwareAddr = arp.OperationReply, unlisted, s.twin.MAC, s.twin.MAC
	s.outside.send(t, tagged(a.Frame(), qTag|10)) // in the other network
	s.outside.send(t, tagged(a.Frame(), qTag|20))
	labtest.Eventually(t, "the answer arrives", func() bool {
		return slices.ContainsFunc(s.twin.receivedARP(), func(f []byte) bool { return bytes.HasPrefix(f, a.Frame()) })
	})
	s.expectUnheard(t, s.app, s.idle)
	if heard := s.app.receivedARP(); len(heard) > 0 {
		t.Errorf("app in the other network received %x", heard)
	}
}
