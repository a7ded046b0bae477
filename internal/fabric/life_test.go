package fabric_test

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/vishvananda/netlink"
)

// In these tests, interfaces come and go while guests send ARP of all forms all the time. At no moment may another
// guest receive any of it, and the senders must be answered again.

func TestGuestJoins(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		fabric := start(t, network(s.attach))
		s.app.sendARPRepeatedly(t)
		newcomer := addGuestOutside(t, 4, "newcomer")
		newcomer.sendARPRepeatedly(t)
		labtest.Must(t, lab.SetMaster(newcomer.Port, bridgeName))
		if s.attachment == onBridge {
			fabric.expectPort(t, newcomer.Port)
		}
		newcomer.ask(t)
		s.expectSilenceAmongSenders(t, s.app, newcomer)
	})
}

// TestNewGuestsAreIsolated has two guests join while only the guard is there and no fabric runs. They receive nothing
// from each other, and no ARP of guests, the host or an uplink. Then they move to a bridge without a guard, and receive
// each other's frames.
func TestNewGuestsAreIsolated(t *testing.T) {
	needClosedBridges(t)
	each(t, guarded, func(t *testing.T, s *stage) {
		outside := addGuest(t, 6, "outside")
		attach := s.attach
		if s.attachment == onBridge {
			attach = "{bridge: br0, uplinks: [vnet6]}"
		}
		start(t, network(attach, "policy: {on_stop: hold}")).stop()
		one, other := addGuest(t, 4, "one"), addGuest(t, 5, "other")
		one.sendARPRepeatedly(t)
		other.sendARPRepeatedly(t)
		outside.sendARPRepeatedly(t)
		askFrom(t, bridgeName, freeAddr)
		for n := range 10 {
			one.send(t, mark(one, other, n))
			sendMark(t, s.app, s.db, n)
		}
		for _, g := range []*guest{one, other, s.idle} {
			for _, frame := range g.receivedARP() {
				t.Errorf("%s received %s (%x)", g.Name, responder.Describe(frame), frame)
			}
		}
		if other.hasReceived(mark(one, other, 0)) {
			t.Error("IPv4 of a newcomer reached another one")
		}
		const elsewhere = "br1"
		addBridge(t, elsewhere)
		labtest.Must(t, lab.SetMaster(one.Port, elsewhere))
		labtest.Must(t, lab.SetMaster(other.Port, elsewhere))
		for _, g := range []*guest{one, other} {
			labtest.Eventually(t, g.Name+" receives the ARP of the other", func() bool { return len(g.receivedARP()) > 0 })
		}
		sendMark(t, one, other, 0)
	})
}

func needClosedBridges(t *testing.T) {
	t.Helper()
	if !closesBridges() {
		labtest.KernelLacks(t, "needs rules that name the bridge of a frame (CONFIG_NFT_BRIDGE_META)")
	}
}

// closesBridges reports whether the kernel isolates a member of a bridge that the fabric does not know yet.
func closesBridges() bool { return nft.NewBridgeTable(wire.Group).IsolatesUnknown() }

// TestNewGuestCannotTakeOverAMAC has a guest that joins send from db's MAC, by frames that a bridge may learn from
// before the port is guarded: while the fabric runs, and while only the guard is there.
func TestNewGuestCannotTakeOverAMAC(t *testing.T) {
	s := build(t, onBridge)
	configuration := network(s.attach, "policy: {on_stop: hold}")
	fabric := start(t, configuration)
	forged := packet{to: s.app.MAC, from: s.db.MAC, src: s.idle.Addr.Addr(), dst: s.app.Addr.Addr()}
	join := func(n byte) (newcomer *guest, isTakenForDB func() bool) {
		newcomer = addGuestOutside(t, n, fmt.Sprintf("newcomer%d", n))
		t.Cleanup(labtest.SendRepeatedly(newcomer.Capture, forged.frame()))
		labtest.Must(t, lab.SetMaster(newcomer.Port, bridgeName))
		return newcomer, func() bool { return slices.Contains(learnedBehind(t, s.db.MAC), newcomer.Port) }
	}

	_, isTakenForDB := join(4)
	fabric.expectPort(t, "vnet4")
	labtest.Eventually(t, "the newcomer is refused", func() bool { return !isTakenForDB() })
	sendMark(t, s.app, s.db, 1)

	fabric.stop()
	newcomer, isTakenForDB := join(5)
	if !closesBridges() {
		labtest.Eventually(t, "the newcomer is taken for db", isTakenForDB)
	}
	for n := range 10 {
		s.app.send(t, mark(s.app, s.db, 10+n))
	}
	sendMark(t, s.app, s.idle, 100)
	for n := range 10 {
		if newcomer.hasReceived(mark(s.app, s.db, 10+n)) {
			t.Error("the newcomer got what was for db")
		}
	}
	if closesBridges() && isTakenForDB() {
		t.Error("the newcomer is taken for db")
	}
	start(t, configuration)
	labtest.Eventually(t, "the newcomer is refused again", func() bool { return !isTakenForDB() })
	sendMark(t, s.app, s.db, 2)
}

func TestGuestComesBack(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		start(t, network(s.attach))
		s.app.sendARPRepeatedly(t)
		before := indexOf(t, s.db.Port)
		labtest.Must(t, s.db.Delete())
		db := addGuestOutside(t, 2, "db")
		db.sendARPRepeatedly(t)
		labtest.Must(t, lab.SetMaster(db.Port, bridgeName))
		if after := indexOf(t, db.Port); after == before {
			t.Fatalf("%s has index %d again", db.Port, after)
		}
		db.ask(t)
		s.app.ask(t)
		s.expectSilenceAmongSenders(t, s.app, db)
	})
}

func TestBridgeIsRecreated(t *testing.T) {
	tests := []struct {
		name         string
		untilNoticed bool
	}{{"at once", false}, {"after a while", true}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, guarded, func(t *testing.T, s *stage) {
				fabric := start(t, network(s.attach))
				s.app.sendARPRepeatedly(t)
				s.db.sendARPRepeatedly(t)
				s.app.ask(t)
				labtest.Must(t, lab.DeleteLink(bridgeName))
				if tt.untilNoticed && s.attachment == onBridge {
					labtest.Eventually(t, "the ports are gone", func() bool { return len(fabric.Counts()) == 0 })
				}
				addBridge(t, bridgeName)
				for _, g := range []*guest{s.idle, s.app, s.db} {
					labtest.Must(t, lab.SetMaster(g.Port, bridgeName))
				}
				s.app.ask(t)
				s.db.ask(t)
				s.expectSilenceAmongSenders(t, s.app, s.db)
			})
		})
	}
}

func TestTAPIsDeleted(t *testing.T) {
	s := build(t, onTAP)
	start(t, network(s.attach))
	s.app.sendARPRepeatedly(t)
	s.db.sendARPRepeatedly(t)
	before := indexOf(t, "arp0")
	labtest.Must(t, lab.DeleteLink("arp0"))
	labtest.Eventually(t, "arp0 is made again", func() bool {
		l, err := net.InterfaceByName("arp0")
		return err == nil && l.Index != before
	})
	s.app.ask(t)
	s.db.ask(t)
	s.expectSilenceAmongSenders(t, s.app, s.db)
}

func TestInterfaceIsRecreated(t *testing.T) {
	s := build(t, onInterface)
	fabric := start(t, network(s.attach))
	s.app.sendARPRepeatedly(t)
	s.app.ask(t)
	labtest.Must(t, lab.DeleteLink("eth1"))
	labtest.Eventually(t, "the port is gone", func() bool { return len(fabric.Counts()) == 0 })
	plugIn(t)
	s.app.ask(t)
}

func TestPortGoesDownAndUp(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		start(t, network(s.attach))
		s.app.sendARPRepeatedly(t)
		s.db.sendARPRepeatedly(t)
		s.app.ask(t)
		port, err := netlink.LinkByName(s.port)
		labtest.Must(t, err)
		labtest.Must(t, netlink.LinkSetDown(port))
		labtest.Must(t, netlink.LinkSetUp(port))
		s.app.ask(t)
		s.expectSilenceAmongSenders(t, s.app, s.db)
	})
}

func TestPortIsRenamed(t *testing.T) {
	s := build(t, onBridge)
	fabric := start(t, network(s.attach))
	s.app.sendARPRepeatedly(t)
	s.app.ask(t)
	port, err := netlink.LinkByName(s.app.Port)
	labtest.Must(t, err)
	t.Cleanup(func() { lab.DeleteLink("renamed") })
	labtest.Must(t, netlink.LinkSetDown(port)) // the kernel renames no interface that is up
	labtest.Must(t, netlink.LinkSetName(port, "renamed"))
	labtest.Must(t, netlink.LinkSetUp(port))
	fabric.expectPort(t, "renamed")
	s.app.ask(t)
	s.expectSilenceAmongSenders(t, s.app)
}

// TestGuestMovesToAnotherBridge checks that a guest that moves to a bridge without a network is not guarded there, and
// is guarded again from the moment it comes back.
func TestGuestMovesToAnotherBridge(t *testing.T) {
	s := build(t, onBridge)
	start(t, network(s.attach))
	s.app.sendARPRepeatedly(t)
	addBridge(t, "br9")
	other := addGuestIn(t, "br9", 5, "other")

	labtest.Must(t, lab.SetMaster(s.app.Port, "br9"))
	flooded := s.app.request(gatewayAddr).Frame()
	labtest.Eventually(t, "ARP floods on the other bridge", func() bool { return other.hasReceived(flooded) })
	labtest.Must(t, lab.SetMaster(s.app.Port, bridgeName))
	s.app.ask(t)
	s.expectSilenceAmongSenders(t, s.app)
}

// sendARPRepeatedly makes a guest send ARP of all forms, all the time, until the test ends.
func (g *guest) sendARPRepeatedly(t *testing.T) {
	t.Helper()
	ask := g.request(gatewayAddr)
	idle := net.HardwareAddr{0x02, 0x00, 0x08, 0xde, 0x54, 0xa8}
	announcement := vary(ask, target(g.Addr.Addr()))
	reply := vary(ask, isReply, to(idle))
	t.Cleanup(labtest.SendRepeatedly(g.Capture,
		ask.Frame(), announcement, reply, tagged(announcement, qTag), tagged(announcement, qTag, qTag),
		snap(ask), vary(ask, to(idle)), vary(ask, isReply),
	))
}

// expectSilenceAmongSenders checks that, if guests are isolated, idle has received no ARP, and the senders have
// received only the answers for them.
func (s *stage) expectSilenceAmongSenders(t *testing.T, senders ...*guest) {
	t.Helper()
	if !s.guarded {
		return
	}
	s.expectSilence(t, s.idle)
	for _, g := range senders {
		for _, frame := range g.receivedARP() {
			if len(frame) != responder.MinFrameLen || !bytes.Equal(frame[:6], g.MAC) {
				t.Errorf("%s received %s (%x)", g.Name, responder.Describe(frame), frame)
			}
		}
	}
}

func indexOf(t *testing.T, name string) int {
	t.Helper()
	l, err := net.InterfaceByName(name)
	labtest.Must(t, err)
	return l.Index
}
