package fabric_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

func (r *running) reload(t *testing.T, configuration string) {
	t.Helper()
	must(t, r.Reload(context.Background(), loadConfig(t, configuration)))
}

// uninformed is a network whose guests hear answers alone.
func uninformed(attach string) string {
	return strings.Replace(network(attach), "registry:", "policy: {inform: false}\n    registry:", 1)
}

func TestReloadBindings(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		f := start(t, uninformed(s.attach))
		s.app.send(t, s.app.request(freeAddr).Frame())
		f.expectCounts(t, s.port, counts{responder.UnknownTarget: 1}, "a reload")

		f.reload(t, uninformed(s.attach)+"      "+freeAddr.String()+": \"02:00:0a:de:54:a8\"\n")
		s.app.send(t, s.app.request(freeAddr).Frame())
		s.app.expectAnswer(t, 1, freeAddr, responder.MAC{0x02, 0x00, 0x0a, 0xde, 0x54, 0xa8})

		f.reload(t, strings.Replace(uninformed(s.attach), "02:00:00:de:54:a8", "02:00:0b:de:54:a8", 1))
		s.app.send(t, s.app.request(gatewayAddr).Frame())
		s.app.expectAnswer(t, 2, gatewayAddr, responder.MAC{0x02, 0x00, 0x0b, 0xde, 0x54, 0xa8})
		s.app.send(t, s.app.request(freeAddr).Frame())
		f.expectCounts(t, s.port, counts{responder.UnknownTarget: 2, responder.Answered: 2}, "a reload")
	})
}

// TestReloadInforms moves an address to another MAC: a guest that knows the old one hears of it.
func TestReloadInforms(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		f := start(t, network(s.attach))
		f.reload(t, strings.Replace(uninformed(s.attach), gatewayMAC.String(), "02:00:0b:de:54:a8", 1))
		sendMark(t, s.app, s.idle, 1)
		if heard := s.idle.heard(); len(heard) > 0 {
			t.Errorf("without inform, idle heard %s", responder.Describe(heard[0]))
		}
		f.reload(t, network(s.attach))
		for _, g := range []*guest{s.app, s.db, s.idle} {
			lab.Eventually(t, g.Name+" is informed", func() bool { return len(g.heard()) > 0 })
			frame := g.heard()[0]
			const want = "ARP, Request who-has 10.239.0.1 tell 10.239.0.1, length 46"
			if got := responder.Describe(frame); got != want || !bytes.Equal(frame[22:28], gatewayMAC[:]) {
				t.Errorf("%s heard %s (%x), want %s", g.Name, got, frame, want)
			}
		}
	})
}

// TestReloadWhilePinging moves the address that app pings, and does not ask for again while the test lasts, from db to
// idle. App goes on with db where it isn't informed, and with idle where it is.
func TestReloadWhilePinging(t *testing.T) {
	lab.NeedProgram(t, "ping")
	each(t, guarded, func(t *testing.T, s *stage) {
		address := netip.MustParseAddr("10.239.0.99")
		owned := func(configuration string, owner *guest) string {
			return configuration + fmt.Sprintf("      %s: %q\n", address, owner.MAC)
		}
		for _, g := range []*guest{s.db, s.idle} {
			must(t, g.Do(func() error { return lab.AddAddress("eth0", netip.PrefixFrom(address, 32)) }))
		}
		const anHour = "3600000"
		mustAge(t, s.app.Do(func() error { return setNeighbor("eth0", "base_reachable_time_ms", anHour) }))
		f := start(t, owned(uninformed(s.attach), s.db))
		s.app.keepPinging(t, address)
		s.db.expectPinged(t)

		f.reload(t, owned(uninformed(s.attach), s.idle))
		s.db.expectPinged(t)
		sendMark(t, s.app, s.idle, 1)
		if n := s.idle.pinged(); n > 0 {
			t.Errorf("without inform, idle is pinged %d times", n)
		}

		f.reload(t, owned(uninformed(s.attach), s.db))
		f.reload(t, owned(network(s.attach), s.idle))
		s.idle.expectPinged(t)
		sendMark(t, s.app, s.db, 2) // what was sent to db before it has arrived now
		before := s.db.pinged()
		s.idle.expectPinged(t)
		sendMark(t, s.app, s.db, 3)
		if n := s.db.pinged() - before; n > 0 {
			t.Errorf("when idle is pinged, db still is %d times", n)
		}
		lab.Eventually(t, "app hears from idle", func() bool {
			return slices.ContainsFunc(s.app.arrived(), func(frame []byte) bool { return bytes.Equal(frame[6:12], s.idle.MAC) })
		})
	})
}

// keepPinging makes the guest ping an address until the test ends.
func (g *guest) keepPinging(t *testing.T, addr netip.Addr) {
	t.Helper()
	cmd := exec.Command("ping", "-n", "-q", "-i", "0.2", addr.String()) // no user may ping faster
	must(t, g.Start(cmd))
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

// expectPinged waits for some more echo requests to arrive: the first may have been sent before now.
func (g *guest) expectPinged(t *testing.T) {
	t.Helper()
	const some = 3
	before := g.pinged()
	lab.Eventually(t, g.Name+" is pinged", func() bool { return g.pinged() >= before+some })
}

// pinged counts the echo requests (RFC 792) for the guest that have arrived. A bridge floods those for others that
// it does not know yet.
func (g *guest) pinged() int {
	n := 0
	for _, frame := range g.arrived() {
		isICMP := len(frame) > 34 && bytes.Equal(frame[12:15], []byte{0x08, 0x00, 0x45}) && frame[23] == 1
		if isICMP && frame[34] == 8 && bytes.Equal(frame[:6], g.MAC) {
			n++
		}
	}
	return n
}

// TestReloadUnderLoad reloads while app asks and shouts. Every request is answered, from one registry or
// the next, and nobody hears app.
func TestReloadUnderLoad(t *testing.T) {
	each(t, guarded, func(t *testing.T, s *stage) {
		f := start(t, network(s.attach))
		request := s.app.request(dbAddr).Frame()
		const requests = 10
		reloads := 200
		if s.attachment == onBridge && !testing.Short() {
			reloads = 1000
		}
		for i := range reloads {
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range requests {
					s.app.Send(request)
				}
			}()
			spare := netip.AddrFrom4([4]byte{10, 239, byte(1 + i/250), byte(1 + i%250)})
			f.reload(t, network(s.attach)+fmt.Sprintf("      %s: \"02:00:0a:de:54:a8\"\n", spare))
			<-done
		}
		f.expectCounts(t, s.port, counts{responder.Answered: uint64(reloads * requests)}, "a reload")
		lab.Eventually(t, "all answers arrive", func() bool { return len(s.app.answers()) == reloads*requests })
		s.expectSilence(t, s.db, s.idle)
	})
}

// TestReloadAnotherNetwork has a guest ask and forge on br1 while the network on br0 comes, goes and becomes another:
// none of its requests stays unanswered, and its neighbour hears nothing.
func TestReloadAnotherNetwork(t *testing.T) {
	lab.NeedTUN(t)
	s := build(t, onBridge)
	addBridge(t, "br1")
	asking, listener := addGuestIn(t, "br1", 4, "asking"), addGuestIn(t, "br1", 5, "listener")
	second := secondNetwork("{bridge: br1}")
	steps := []struct{ name, configuration string }{
		{"the other is added", network(onBridge.attach) + second},
		{"it is attached to a TAP", network(onTAP.attach) + second},
		{"it is attached to the bridge again", network(onBridge.attach) + second},
		{"it is classic", network(onBridge.attach, "mode: classic") + second},
		{"it is vpc again", network(onBridge.attach) + second},
		{"it is removed", networks + second},
	}
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	f := start(t, networks+second)
	sendMark(t, listener, asking, 1) // now the bridge knows where it is
	forged := packet{to: listener.MAC, from: asking.MAC, src: gatewayAddr, dst: listener.Addr.Addr()}.frame()
	stopForging := asking.Shout(forged)
	asked := 0
	for range rounds {
		for _, step := range steps {
			stop := asking.load(t, time.Millisecond)
			f.reload(t, step.configuration)
			asked += stop()
			lab.Eventually(t, "all is answered when "+step.name, func() bool { return len(asking.answers()) == asked })
		}
	}
	stopForging()
	if n := f.counts(asking.Port)[responder.Answered]; n != uint64(asked) {
		t.Errorf("%d of %d requests are counted as answered", n, asked)
	}
	sendMark(t, asking, listener, 2)
	if listener.hasSeen(forged) {
		t.Error("listener has received what is forged")
	}
	for _, frame := range listener.heard() {
		t.Errorf("listener heard %s", responder.Describe(frame))
	}
	f.reload(t, network(s.attach)+second)
	s.app.ask(t)
	s.expectSilence(t, s.db, s.idle)
}

func TestReloadMode(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, network(s.attach))
	for range 20 {
		f.reload(t, network(s.attach, "mode: classic"))
		f.reload(t, network(s.attach))
	}
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	s.app.expectAnswer(t, 1, gatewayAddr, gatewayMAC)
	s.expectSilence(t, s.db, s.idle)

	f.reload(t, network(s.attach, "mode: classic"))
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	f.expectCounts(t, s.port, counts{responder.Answered: 2}, "a reload")
	lab.Eventually(t, "idle hears app", func() bool { return len(s.idle.heard()) == 1 })
	sendMark(t, s.db, s.app, 1)
	if n := len(s.app.answers()); n != 1 {
		t.Errorf("%d answers; classic answers nothing", n)
	}
}

// TestReloadNetworks exchanges one network for another, on another bridge.
func TestReloadNetworks(t *testing.T) {
	s := build(t, onBridge)
	addBridge(t, "br1")
	f := start(t, network("{bridge: br1}"))
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	lab.Eventually(t, "idle hears app", func() bool { return len(s.idle.heard()) == 1 })

	f.reload(t, network(s.attach))
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	s.app.expectAnswer(t, 1, gatewayAddr, gatewayMAC)

	f.reload(t, network("{bridge: br1}"))
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	lab.Eventually(t, "idle hears app again", func() bool { return len(s.idle.heard()) == 2 })
}

func TestReloadAttachment(t *testing.T) {
	lab.NeedTUN(t)
	s := build(t, onBridge)
	plugIn(t)
	f := start(t, network(onBridge.attach))
	for i, a := range []attachment{onTAP, onInterface, onBridge, onTAP, onBridge} {
		f.reload(t, network(a.attach))
		f.expectPort(t, a.port)
		s.app.send(t, s.app.request(gatewayAddr).Frame())
		s.app.expectAnswer(t, i+1, gatewayAddr, gatewayMAC)
	}
	lab.Eventually(t, "the TAP is gone", func() bool { return linkIndex("arp0") == 0 })
}

func TestReloadThatCannotBeChangesNothing(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, network(s.attach))
	next := network(s.attach) + "  other:\n    attach: {interface: eth7}\n    registry: {10.0.0.1: \"02:00:00:00:00:01\"}\n"
	err := f.Reload(context.Background(), loadConfig(t, strings.Replace(next, "02:00:00:de", "02:00:0b:de", 1)))
	if err == nil || !strings.Contains(err.Error(), "network other: there is no interface eth7") {
		t.Errorf("error %v", err)
	}
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	s.app.expectAnswer(t, 1, gatewayAddr, gatewayMAC)
	s.expectSilence(t, s.db, s.idle)
}

// TestReloadThatFailsHalfway holds that what was in force is again, where a configuration can't be put in force that has
// nothing wrong with it: a TAP can't be a member of a bridge with so large an MTU.
func TestReloadThatFailsHalfway(t *testing.T) {
	lab.NeedTUN(t)
	s := build(t, onBridge)
	addBridge(t, "br1")
	dev, err := netlink.LinkByName("br1")
	must(t, err)
	must(t, netlink.LinkSetMTU(dev, 65535))
	f := start(t, uninformed(s.attach))
	before := f.Config()
	next := uninformed(s.attach) + "  other:\n    attach: {tap: {name: arp1, bridge: br1}}\n    registry: {10.0.0.1: \"02:00:00:00:00:01\"}\n"
	for i := range 3 {
		err = f.Reload(context.Background(), loadConfig(t, strings.Replace(next, "02:00:00:de", "02:00:0b:de", 1)))
		if err == nil || !strings.Contains(err.Error(), "network other: ") {
			t.Errorf("error %v", err)
		}
		if f.Config() != before {
			t.Error("another configuration is in force")
		}
		s.app.send(t, s.app.request(gatewayAddr).Frame())
		s.app.expectAnswer(t, i+1, gatewayAddr, gatewayMAC)
	}
	lab.Eventually(t, "the TAP is gone", func() bool { return linkIndex("arp1") == 0 })
	f.reload(t, strings.Replace(uninformed(s.attach), "02:00:00:de", "02:00:0b:de", 1))
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	s.app.expectAnswer(t, 4, gatewayAddr, responder.MAC{0x02, 0, 0x0b, 0xde, 0x54, 0xa8})
	s.expectSilence(t, s.db, s.idle)
}

// TestReloadWithoutBridges holds that a guard that nobody needs any more is removed.
func TestReloadWithoutBridges(t *testing.T) {
	s := build(t, onBridge)
	plugIn(t)
	f := start(t, network(s.attach))
	f.reload(t, network(onInterface.attach))
	c, err := nftables.New()
	must(t, err)
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyBridge)
	must(t, err)
	for _, table := range tables {
		if table.Name == guard.TableName {
			t.Error("the guard is still there")
		}
	}
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	s.app.expectAnswer(t, 1, gatewayAddr, gatewayMAC)
}

func linkIndex(name string) int {
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return dev.Index
}
