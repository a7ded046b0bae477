package fabric_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/nftables"
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
			eventually(t, g.Name+" is informed", func() bool { return len(g.heard()) > 0 })
			frame := g.heard()[0]
			const want = "ARP, Request who-has 10.239.0.1 tell 10.239.0.1, length 46"
			if got := responder.Describe(frame); got != want || !bytes.Equal(frame[22:28], gatewayMAC[:]) {
				t.Errorf("%s heard %s (%x), want %s", g.Name, got, frame, want)
			}
		}
	})
}

// TestReloadUnderLoad reloads while app asks and shouts. Every request is answered, from one registry or
// the next, and nobody hears app.
func TestReloadUnderLoad(t *testing.T) {
	each(t, guarded, func(t *testing.T, s *stage) {
		f := start(t, network(s.attach))
		request := s.app.request(dbAddr).Frame()
		const reloads, requests = 200, 10
		for i := range reloads {
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range requests {
					s.app.Send(request)
				}
			}()
			spare := netip.AddrFrom4([4]byte{10, 239, 1, byte(1 + i)})
			f.reload(t, network(s.attach)+fmt.Sprintf("      %s: \"02:00:0a:de:54:a8\"\n", spare))
			<-done
		}
		f.expectCounts(t, s.port, counts{responder.Answered: reloads * requests}, "a reload")
		eventually(t, "all answers arrive", func() bool { return len(s.app.answers()) == reloads*requests })
		s.expectSilence(t, s.db, s.idle)
	})
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
	eventually(t, "idle hears app", func() bool { return len(s.idle.heard()) == 1 })
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
	eventually(t, "idle hears app", func() bool { return len(s.idle.heard()) == 1 })

	f.reload(t, network(s.attach))
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	s.app.expectAnswer(t, 1, gatewayAddr, gatewayMAC)

	f.reload(t, network("{bridge: br1}"))
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	eventually(t, "idle hears app again", func() bool { return len(s.idle.heard()) == 2 })
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
	eventually(t, "the TAP is gone", func() bool { return linkIndex("arp0") == 0 })
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
