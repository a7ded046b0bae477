package fabric_test

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/vishvananda/netlink"
)

// Interfaces come and go while guests shout: send ARP in all forms that must not be heard, all the time.
// None of it may be heard by another guest, at no moment, and the shouters must be answered again.

func TestGuestJoins(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		fabric := start(t, network(s.attach))
		s.app.shout(t)
		newcomer := addGuestOutside(t, 4, "newcomer")
		newcomer.shout(t)
		must(t, lab.SetMaster(newcomer.Port, bridgeName))
		if s.attachment == onBridge {
			fabric.expectPort(t, newcomer.Port)
		}
		newcomer.ask(t)
		s.expectSilenceAmongShouters(t, s.app, newcomer)
	})
}

// TestNewcomersAreApart has two guests join while the guard is alone, so that nobody gets to know them: they hear nothing
// of each other, nor the ARP of anybody else, be it the host or an uplink. Then they move to a bridge that is not the
// fabric's, and hear each other.
func TestNewcomersAreApart(t *testing.T) {
	needClosedBridges(t)
	each(t, guarded, func(t *testing.T, s *stage) {
		outside := addGuest(t, 6, "outside")
		attach := s.attach
		if s.attachment == onBridge {
			attach = "{bridge: br0, uplinks: [vnet6]}"
		}
		start(t, network(attach, "policy: {on_stop: hold}")).stop()
		one, other := addGuest(t, 4, "one"), addGuest(t, 5, "other")
		one.shout(t)
		other.shout(t)
		outside.shout(t)
		askFrom(t, bridgeName, freeAddr)
		for n := range 10 {
			one.send(t, mark(one, other, n))
			sendMark(t, s.app, s.db, n)
		}
		for _, g := range []*guest{one, other, s.idle} {
			for _, frame := range g.heard() {
				t.Errorf("%s heard %s (%x)", g.Name, responder.Describe(frame), frame)
			}
		}
		if other.hasSeen(mark(one, other, 0)) {
			t.Error("IPv4 of a newcomer reached another one")
		}
		const elsewhere = "br1"
		addBridge(t, elsewhere)
		must(t, lab.SetMaster(one.Port, elsewhere))
		must(t, lab.SetMaster(other.Port, elsewhere))
		for _, g := range []*guest{one, other} {
			lab.Eventually(t, g.Name+" hears the other", func() bool { return len(g.heard()) > 0 })
		}
		sendMark(t, one, other, 0)
	})
}

func needClosedBridges(t *testing.T) {
	t.Helper()
	if !closesBridges() {
		lab.KernelLacks(t, "needs rules that name the bridge of a frame (CONFIG_NFT_BRIDGE_META)")
	}
}

// closesBridges reports whether the kernel keeps a member of a bridge apart that the fabric doesn't know yet.
func closesBridges() bool { return guard.New(wire.Group).ClosesBridges() }

// TestNewcomerStealsNothing has a guest that joins claim db's MAC, by frames that a bridge may learn from before the
// port is guarded: while the fabric runs, and while the guard is alone.
func TestNewcomerStealsNothing(t *testing.T) {
	s := build(t, onBridge)
	configuration := network(s.attach, "policy: {on_stop: hold}")
	fabric := start(t, configuration)
	forged := packet{to: s.app.MAC, from: s.db.MAC, src: s.idle.Addr.Addr(), dst: s.app.Addr.Addr()}
	join := func(n byte) (newcomer *guest, isTakenForDB func() bool) {
		newcomer = addGuestOutside(t, n, fmt.Sprintf("newcomer%d", n))
		t.Cleanup(newcomer.Shout(forged.frame()))
		must(t, lab.SetMaster(newcomer.Port, bridgeName))
		return newcomer, func() bool { return slices.Contains(learnedBehind(t, s.db.MAC), newcomer.Port) }
	}

	_, isTakenForDB := join(4)
	fabric.expectPort(t, "vnet4")
	lab.Eventually(t, "the newcomer is refused", func() bool { return !isTakenForDB() })
	sendMark(t, s.app, s.db, 1)

	fabric.stop()
	newcomer, isTakenForDB := join(5)
	if !closesBridges() {
		lab.Eventually(t, "the newcomer is taken for db", isTakenForDB)
	}
	for n := range 10 {
		s.app.send(t, mark(s.app, s.db, 10+n))
	}
	sendMark(t, s.app, s.idle, 100)
	for n := range 10 {
		if newcomer.hasSeen(mark(s.app, s.db, 10+n)) {
			t.Error("the newcomer got what was for db")
		}
	}
	if closesBridges() && isTakenForDB() {
		t.Error("the newcomer is taken for db")
	}
	start(t, configuration)
	lab.Eventually(t, "the newcomer is refused again", func() bool { return !isTakenForDB() })
	sendMark(t, s.app, s.db, 2)
}

func TestGuestComesBack(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		start(t, network(s.attach))
		s.app.shout(t)
		before := indexOf(t, s.db.Port)
		must(t, s.db.Delete())
		db := addGuestOutside(t, 2, "db")
		db.shout(t)
		must(t, lab.SetMaster(db.Port, bridgeName))
		if after := indexOf(t, db.Port); after == before {
			t.Fatalf("%s has index %d again", db.Port, after)
		}
		db.ask(t)
		s.app.ask(t)
		s.expectSilenceAmongShouters(t, s.app, db)
	})
}

func TestBridgeIsMadeAnew(t *testing.T) {
	tests := []struct {
		name         string
		untilNoticed bool
	}{{"at once", false}, {"after a while", true}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, guarded, func(t *testing.T, s *stage) {
				fabric := start(t, network(s.attach))
				s.app.shout(t)
				s.db.shout(t)
				s.app.ask(t)
				must(t, lab.DeleteLink(bridgeName))
				if tt.untilNoticed && s.attachment == onBridge {
					lab.Eventually(t, "the ports are gone", func() bool { return len(fabric.Counts()) == 0 })
				}
				addBridge(t, bridgeName)
				for _, g := range []*guest{s.idle, s.app, s.db} {
					must(t, lab.SetMaster(g.Port, bridgeName))
				}
				s.app.ask(t)
				s.db.ask(t)
				s.expectSilenceAmongShouters(t, s.app, s.db)
			})
		})
	}
}

func TestTAPIsDeleted(t *testing.T) {
	s := build(t, onTAP)
	start(t, network(s.attach))
	s.app.shout(t)
	s.db.shout(t)
	before := indexOf(t, "arp0")
	must(t, lab.DeleteLink("arp0"))
	lab.Eventually(t, "arp0 is made anew", func() bool {
		l, err := net.InterfaceByName("arp0")
		return err == nil && l.Index != before
	})
	s.app.ask(t)
	s.db.ask(t)
	s.expectSilenceAmongShouters(t, s.app, s.db)
}

func TestInterfaceIsMadeAnew(t *testing.T) {
	s := build(t, onInterface)
	fabric := start(t, network(s.attach))
	s.app.shout(t)
	s.app.ask(t)
	must(t, lab.DeleteLink("eth1"))
	lab.Eventually(t, "the port is gone", func() bool { return len(fabric.Counts()) == 0 })
	plugIn(t)
	s.app.ask(t)
}

func TestPortGoesDownAndUp(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		start(t, network(s.attach))
		s.app.shout(t)
		s.db.shout(t)
		s.app.ask(t)
		port, err := netlink.LinkByName(s.port)
		must(t, err)
		must(t, netlink.LinkSetDown(port))
		must(t, netlink.LinkSetUp(port))
		s.app.ask(t)
		s.expectSilenceAmongShouters(t, s.app, s.db)
	})
}

func TestPortIsRenamed(t *testing.T) {
	s := build(t, onBridge)
	fabric := start(t, network(s.attach))
	s.app.shout(t)
	s.app.ask(t)
	port, err := netlink.LinkByName(s.app.Port)
	must(t, err)
	t.Cleanup(func() { lab.DeleteLink("renamed") })
	must(t, netlink.LinkSetDown(port)) // or it can't be renamed
	must(t, netlink.LinkSetName(port, "renamed"))
	must(t, netlink.LinkSetUp(port))
	fabric.expectPort(t, "renamed")
	s.app.ask(t)
	s.expectSilenceAmongShouters(t, s.app)
}

// TestGuestMovesToAnotherBridge holds that a guest which leaves for a bridge that is none of the fabric's is
// left alone there, and is guarded again from the moment it comes back.
func TestGuestMovesToAnotherBridge(t *testing.T) {
	s := build(t, onBridge)
	start(t, network(s.attach))
	s.app.shout(t)
	addBridge(t, "br9")
	other := addGuestIn(t, "br9", 5, "other")

	must(t, lab.SetMaster(s.app.Port, "br9"))
	flooded := s.app.request(gatewayAddr).Frame()
	lab.Eventually(t, "ARP floods on the other bridge", func() bool { return other.hasSeen(flooded) })
	must(t, lab.SetMaster(s.app.Port, bridgeName))
	s.app.ask(t)
	s.expectSilenceAmongShouters(t, s.app)
}

// shout makes a guest send ARP of all forms, all the time, until the test ends.
func (g *guest) shout(t *testing.T) {
	t.Helper()
	ask := g.request(gatewayAddr)
	idle := net.HardwareAddr{0x02, 0x00, 0x08, 0xde, 0x54, 0xa8}
	announcement := vary(ask, target(g.Addr.Addr()))
	reply := vary(ask, isReply, to(idle))
	t.Cleanup(g.Shout(
		ask.Frame(), announcement, reply, tagged(announcement, qTag), tagged(announcement, qTag, qTag),
		snap(ask), vary(ask, to(idle)), vary(ask, isReply),
	))
}

// expectSilenceAmongShouters holds that where guests are kept apart, idle has heard nothing, and those who
// shout nothing but the answers for them.
func (s *stage) expectSilenceAmongShouters(t *testing.T, shouters ...*guest) {
	t.Helper()
	if !s.guarded {
		return
	}
	s.expectSilence(t, s.idle)
	for _, g := range shouters {
		for _, frame := range g.heard() {
			if len(frame) != responder.MinFrameLen || !bytes.Equal(frame[:6], g.MAC) {
				t.Errorf("%s heard %s (%x)", g.Name, responder.Describe(frame), frame)
			}
		}
	}
}

func indexOf(t *testing.T, name string) int {
	t.Helper()
	l, err := net.InterfaceByName(name)
	must(t, err)
	return l.Index
}
