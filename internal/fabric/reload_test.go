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

	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

func (r *running) reload(t *testing.T, configuration string) {
	t.Helper()
	labtest.Must(t, r.Reload(context.Background(), loadConfig(t, configuration)))
}

// uninformed returns the configuration of a network whose guests receive no announcements.
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
		s.app.expectAnswer(t, 1, freeAddr, registry.MAC{0x02, 0x00, 0x0a, 0xde, 0x54, 0xa8})

		f.reload(t, strings.Replace(uninformed(s.attach), "02:00:00:de:54:a8", "02:00:0b:de:54:a8", 1))
		s.app.send(t, s.app.request(gatewayAddr).Frame())
		s.app.expectAnswer(t, 2, gatewayAddr, registry.MAC{0x02, 0x00, 0x0b, 0xde, 0x54, 0xa8})
		s.app.send(t, s.app.request(freeAddr).Frame())
		f.expectCounts(t, s.port, counts{responder.UnknownTarget: 2, responder.Answered: 2}, "a reload")
	})
}

// TestReloadInforms moves an address to another MAC, and checks that a guest that knows the old MAC receives an
// announcement.
func TestReloadInforms(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		f := start(t, network(s.attach))
		f.reload(t, strings.Replace(uninformed(s.attach), gatewayMAC.String(), "02:00:0b:de:54:a8", 1))
		sendMark(t, s.app, s.idle, 1)
		if heard := s.idle.receivedARP(); len(heard) > 0 {
			t.Errorf("without inform, idle heard %s", responder.Describe(heard[0]))
		}
		f.reload(t, network(s.attach))
		for _, g := range []*guest{s.app, s.db, s.idle} {
			labtest.Eventually(t, g.Name+" is informed", func() bool { return len(g.receivedARP()) > 0 })
			frame := g.receivedARP()[0]
			const want = "ARP, Request who-has 10.239.0.1 tell 10.239.0.1, length 46"
			if got := responder.Describe(frame); got != want || !bytes.Equal(frame[22:28], gatewayMAC[:]) {
				t.Errorf("%s received %s (%x), want %s", g.Name, got, frame, want)
			}
		}
	})
}

// TestReloadInformsUplinks moves an address to another MAC, and checks that a host behind an uplink learns it, and that no
// guest receives more than the one announcement on its own port.
func TestReloadInformsUplinks(t *testing.T) {
	s := build(t, onBridge)
	outside := addGuest(t, 9, "outside")
	const attach = "{bridge: br0, uplinks: [vnet9]}"
	f := start(t, strings.Replace(network(attach), dbMAC.String(), "02:00:0b:de:54:a8", 1))
	outside.send(t, outside.request(dbAddr).Frame())
	outside.expectAnswer(t, 1, dbAddr, registry.MAC{0x02, 0x00, 0x0b, 0xde, 0x54, 0xa8})
	f.reload(t, network(attach))
	labtest.Eventually(t, "outside learns the new MAC", func() bool {
		known, err := labtest.Neighbors(outside.Guest)
		labtest.Must(t, err)
		return bytes.Equal(known[dbAddr], dbMAC[:])
	})
	bridge, err := net.InterfaceByName(bridgeName)
	labtest.Must(t, err)
	// The kernel may learn from a frame before the capture records it.
	labtest.Eventually(t, "the announcement is recorded", func() bool { return len(outside.receivedARP()) > 1 })
	if heard := outside.receivedARP(); len(heard) != 2 || !bytes.Equal(heard[1][6:12], bridge.HardwareAddr) {
		t.Errorf("outside received %x; want an answer and an announcement, from the host's MAC", heard)
	}
	sendMark(t, s.app, s.idle, 1)
	if heard := s.idle.receivedARP(); len(heard) != 1 {
		t.Errorf("idle received %d announcements", len(heard))
	}
}

// TestReloadWhilePinging moves the address that app pings from db to idle. app sends no further request for it during
// the test. Without an announcement, app continues to ping db, which no longer receives it; with one, it pings idle.
func TestReloadWhilePinging(t *testing.T) {
	labtest.NeedProgram(t, "ping")
	each(t, guarded, func(t *testing.T, s *stage) {
		address := netip.MustParseAddr("10.239.0.99")
		owned := func(configuration string, owner *guest) string {
			return configuration + fmt.Sprintf("      %s: %q\n", address, owner.MAC)
		}
		for _, g := range []*guest{s.db, s.idle} {
			labtest.Must(t, g.Do(func() error { return labtest.AddAddress("eth0", netip.PrefixFrom(address, 32)) }))
		}
		const anHour = "3600000"
		mustAge(t, s.app.Do(func() error { return setNeighbor("eth0", "base_reachable_time_ms", anHour) }))
		f := start(t, owned(uninformed(s.attach), s.db))
		s.app.keepPinging(t, address)
		s.db.expectPinged(t)

		f.reload(t, owned(uninformed(s.attach), s.idle))
		sendMark(t, s.app, s.db, 0) // everything sent to db before has arrived
		received, sent := s.db.pinged(), s.app.pings()
		labtest.Eventually(t, "app goes on pinging", func() bool { return s.app.pings() >= sent+3 })
		for i, g := range []*guest{s.db, s.idle} {
			sendMark(t, s.app, g, 1+i)
		}
		if n, m := s.db.pinged()-received, s.idle.pinged(); n+m > 0 {
			t.Errorf("without inform, db is pinged %d times and idle %d times", n, m)
		}

		f.reload(t, owned(uninformed(s.attach), s.db))
		s.db.expectPinged(t)
		f.reload(t, owned(network(s.attach), s.idle))
		s.idle.expectPinged(t)
		sendMark(t, s.app, s.db, 3) // everything sent to db before has arrived
		before := s.db.pinged()
		s.idle.expectPinged(t)
		sendMark(t, s.app, s.db, 4)
		if n := s.db.pinged() - before; n > 0 {
			t.Errorf("when idle is pinged, db still is %d times", n)
		}
		labtest.Eventually(t, "app receives from idle", func() bool {
			return slices.ContainsFunc(s.app.received(), func(frame []byte) bool { return bytes.Equal(frame[6:12], s.idle.MAC) })
		})
	})
}

// keepPinging makes the guest ping an address until the test ends.
func (g *guest) keepPinging(t *testing.T, addr netip.Addr) {
	t.Helper()
	cmd := exec.Command("ping", "-n", "-q", "-i", "0.2", addr.String()) // the shortest interval for an ordinary user
	labtest.Must(t, g.Start(cmd))
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

// expectPinged waits for several more echo requests, because the first may have been sent before the call.
func (g *guest) expectPinged(t *testing.T) {
	t.Helper()
	const some = 3
	before := g.pinged()
	labtest.Eventually(t, g.Name+" is pinged", func() bool { return g.pinged() >= before+some })
}

// pinged counts the echo requests (RFC 792) to the guest's MAC that have arrived. Those to other MACs may arrive, too,
// by flooding.
func (g *guest) pinged() int {
	n := 0
	for _, frame := range g.received() {
		if isEchoRequest(frame) && bytes.Equal(frame[:6], g.MAC) {
			n++
		}
	}
	return n
}

// pings counts the echo requests that the guest has sent.
func (g *guest) pings() int {
	n := 0
	for _, seen := range g.Frames() {
		if seen.Sent && isEchoRequest(seen.Frame) {
			n++
		}
	}
	return n
}

func isEchoRequest(frame []byte) bool {
	return len(frame) > 34 && bytes.Equal(frame[12:15], []byte{0x08, 0x00, 0x45}) && frame[23] == 1 && frame[34] == 8
}

// TestReloadUnderLoad reloads while app sends requests and other ARP. Every request is answered, from the old registry
// or the new one, and no guest receives app's ARP.
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
		labtest.Eventually(t, "all answers arrive", func() bool { return len(s.app.answers()) == reloads*requests })
		s.expectSilence(t, s.db, s.idle)
	})
}

// TestReloadAnotherNetwork has a guest send requests and forged frames on br1 while the network on br0 is added,
// removed and changed. All its requests are answered, and the other guest on br1 receives nothing.
func TestReloadAnotherNetwork(t *testing.T) {
	labtest.NeedTUN(t)
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
	sendMark(t, listener, asking, 1) // the bridge learns its port
	forged := packet{to: listener.MAC, from: asking.MAC, src: gatewayAddr, dst: listener.Addr.Addr()}.frame()
	stopForging := labtest.SendRepeatedly(asking.Capture, forged)
	asked := 0
	for range rounds {
		for _, step := range steps {
			stop := asking.load(t, time.Millisecond)
			f.reload(t, step.configuration)
			asked += stop()
			labtest.Eventually(t, "all is answered when "+step.name, func() bool { return len(asking.answers()) == asked })
		}
	}
	stopForging()
	if n := f.counts(asking.Port)[responder.Answered]; n != uint64(asked) {
		t.Errorf("%d of %d requests are counted as answered", n, asked)
	}
	sendMark(t, asking, listener, 2)
	if listener.hasReceived(forged) {
		t.Error("listener has received a forged frame")
	}
	for _, frame := range listener.receivedARP() {
		t.Errorf("listener received %s", responder.Describe(frame))
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
	labtest.Eventually(t, "idle receives the ARP of app", func() bool { return len(s.idle.receivedARP()) == 1 })
	sendMark(t, s.db, s.app, 1)
	if n := len(s.app.answers()); n != 1 {
		t.Errorf("%d answers; classic answers nothing", n)
	}
}

// TestReloadNetworks replaces a network by another, on another bridge.
func TestReloadNetworks(t *testing.T) {
	s := build(t, onBridge)
	addBridge(t, "br1")
	f := start(t, network("{bridge: br1}"))
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	labtest.Eventually(t, "idle receives the ARP of app", func() bool { return len(s.idle.receivedARP()) == 1 })

	f.reload(t, network(s.attach))
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	s.app.expectAnswer(t, 1, gatewayAddr, gatewayMAC)

	f.reload(t, network("{bridge: br1}"))
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	labtest.Eventually(t, "idle receives the ARP of app again", func() bool { return len(s.idle.receivedARP()) == 2 })
}

func TestReloadAttachment(t *testing.T) {
	labtest.NeedTUN(t)
	s := build(t, onBridge)
	plugIn(t)
	f := start(t, network(onBridge.attach))
	for i, a := range []attachment{onTAP, onInterface, onBridge, onTAP, onBridge} {
		f.reload(t, network(a.attach))
		f.expectPort(t, a.port)
		s.app.send(t, s.app.request(gatewayAddr).Frame())
		s.app.expectAnswer(t, i+1, gatewayAddr, gatewayMAC)
	}
	labtest.Eventually(t, "the TAP is gone", func() bool { return linkIndex("arp0") == 0 })
}

// TestRejectedReloadChangesNothing adds a network whose TAP has another interface's name.
func TestRejectedReloadChangesNothing(t *testing.T) {
	labtest.NeedTUN(t)
	s := build(t, onBridge)
	f := start(t, network(s.attach))
	next := network(s.attach) + "  other:\n    attach: {tap: {name: vnet3}}\n    registry: {10.0.0.1: \"02:00:00:00:00:01\"}\n"
	err := f.Reload(context.Background(), loadConfig(t, strings.Replace(next, "02:00:00:de", "02:00:0b:de", 1)))
	if err == nil || !strings.Contains(err.Error(), "network other: ") {
		t.Errorf("error %v", err)
	}
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	s.app.expectAnswer(t, 1, gatewayAddr, gatewayMAC)
	s.expectSilence(t, s.db, s.idle)
}

// TestFailedReloadIsReverted checks that the old state is restored if a valid configuration cannot be put in force.
// Here, a TAP cannot join a bridge because the MTU of the bridge is too large.
func TestFailedReloadIsReverted(t *testing.T) {
	labtest.NeedTUN(t)
	s := build(t, onBridge)
	addBridge(t, "br1")
	dev, err := netlink.LinkByName("br1")
	labtest.Must(t, err)
	labtest.Must(t, netlink.LinkSetMTU(dev, 65535))
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
	labtest.Eventually(t, "the TAP is gone", func() bool { return linkIndex("arp1") == 0 })
	f.reload(t, strings.Replace(uninformed(s.attach), "02:00:00:de", "02:00:0b:de", 1))
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	s.app.expectAnswer(t, 4, gatewayAddr, registry.MAC{0x02, 0, 0x0b, 0xde, 0x54, 0xa8})
	s.expectSilence(t, s.db, s.idle)
}

// TestReloadWithoutBridges checks that a guard that no network needs is removed.
func TestReloadWithoutBridges(t *testing.T) {
	s := build(t, onBridge)
	plugIn(t)
	f := start(t, network(s.attach))
	f.reload(t, network(onInterface.attach))
	c, err := nftables.New()
	labtest.Must(t, err)
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyBridge)
	labtest.Must(t, err)
	for _, table := range tables {
		if table.Name == nft.TableName {
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
