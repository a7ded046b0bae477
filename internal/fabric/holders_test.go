package fabric_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
)

// sharedAddr may move between app and db.
var sharedAddr = netip.MustParseAddr("10.239.0.120")

// shared returns a configuration with the address. macs are the MACs in its binding.
func (s *allowListStage) shared(t *testing.T, macs ...registry.MAC) string {
	t.Helper()
	var list []string
	for _, mac := range macs {
		list = append(list, fmt.Sprintf("%q", mac))
	}
	binding := fmt.Sprintf("      %s: {macs: [%s], name: service}\n", sharedAddr, strings.Join(list, ", "))
	return withHost(t, network(s.attach)+binding)
}

// announcement returns an announcement of the address by a guest, as a request or a reply.
func announcement(g *guest, operation arp.Operation) []byte {
	a := lab.Request(g.MAC, sharedAddr, sharedAddr)
	a.Operation = operation
	return a.Frame()
}

// holder returns the MAC that the registry in force has for the address.
func (r *running) holder() registry.MAC {
	b, _ := r.Config().Networks[0].Registry.Lookup(sharedAddr)
	return b.MAC
}

// expectHolder checks that a guest holds the address: it may send from it, and other guests get its MAC. other is the
// other guest that may hold it.
func (s *allowListStage) expectHolder(t *testing.T, f *running, holder, other *guest, number int) {
	t.Helper()
	labtest.Eventually(t, holder.Name+" holds the address", func() bool { return f.holder() == registry.MAC(holder.MAC) })
	before := s.idle.answersFor(sharedAddr)
	s.idle.send(t, s.idle.request(sharedAddr).Frame())
	labtest.Eventually(t, "idle is answered", func() bool { return s.idle.answersFor(sharedAddr) > before })
	answers := s.idle.answers()
	if answer := answers[len(answers)-1]; !bytes.Equal(answer[22:28], holder.MAC) {
		t.Errorf("%s holds the address, and idle is told %s", holder.Name, responder.Describe(answer))
	}
	decider := responder.New(f.Config().Networks[0].Registry, f.Config().Networks[0].Policy)
	from := func(g *guest) []byte {
		return packet{
			to: s.idle.MAC, from: g.MAC, src: sharedAddr, dst: s.idle.Addr.Addr(), udp: true, srcPort: uint16(number), dstPort: 9,
		}.frame()
	}
	to := func(g *guest) []byte {
		return packet{
			to: g.MAC, from: s.idle.MAC, src: s.idle.Addr.Addr(), dst: sharedAddr, udp: true, srcPort: uint16(number), dstPort: 9,
		}.frame()
	}
	s.sentBy(other).play(t, decider, refused("from "+other.Name, responder.NotHolder, from(other)), number)
	s.sentBy(s.idle).play(t, decider, refused("to "+other.Name, responder.ForeignDestination, to(other)), number+1)
	s.sentBy(holder).play(t, decider, sending{name: "from " + holder.Name, frame: from(holder), reason: responder.Admitted, passes: true,
		heard: []*guest{s.idle}}, number+2)
	s.sentBy(s.idle).play(t, decider, sending{name: "to " + holder.Name, frame: to(holder), reason: responder.Admitted, passes: true,
		heard: []*guest{holder}}, number+3)
}

// TestHolderChanges has an address move between two guests by their announcements. No guest hears an announcement, and the
// others are told by arpfabric.
func TestHolderChanges(t *testing.T) {
	s := buildAllowList(t, build(t, onBridge))
	f := start(t, s.shared(t, appMAC, dbMAC))
	s.introduce(t, 1_000_000)
	s.expectHolder(t, f, s.app, s.db, 100)

	s.db.send(t, announcement(s.db, arp.OperationRequest))
	s.expectHolder(t, f, s.db, s.app, 200)
	labtest.Eventually(t, "idle is informed", func() bool { return s.idle.isTold(dbMAC) })

	// A reload, and another registry, leave the address with its holder as long as they list it.
	labtest.Must(t, f.Reload(t.Context(), loadConfig(t, s.shared(t, appMAC, dbMAC))))
	s.expectHolder(t, f, s.db, s.app, 300)
	edited := loadConfig(t, s.shared(t, appMAC, dbMAC)).Networks[0].Registry
	labtest.Must(t, f.SetRegistry(t.Context(), "lab", edited))
	s.expectHolder(t, f, s.db, s.app, 400)

	s.app.send(t, announcement(s.app, arp.OperationReply))
	s.expectHolder(t, f, s.app, s.db, 500)
	labtest.Eventually(t, "idle is informed again", func() bool { return s.idle.isTold(appMAC) })

	s.db.send(t, announcement(s.db, arp.OperationReply))
	s.expectHolder(t, f, s.db, s.app, 600)
	labtest.Must(t, f.Reload(t.Context(), loadConfig(t, s.shared(t, appMAC, gatewayMAC))))
	if got := f.holder(); got != appMAC {
		t.Errorf("%s holds the address; want the first, because the last holder is not listed any more", got)
	}
	s.db.send(t, announcement(s.db, arp.OperationRequest))
	f.settle(t)
	sendMark(t, s.db, s.idle, 700)
	if got := f.holder(); got != appMAC {
		t.Errorf("%s holds the address, and is not listed", got)
	}
	for _, g := range s.listeners() {
		for _, frame := range g.receivedARP() {
			if id := responder.SenderIdentityOf(frame); len(frame) != responder.MinFrameLen && id.Sender == sharedAddr {
				t.Errorf("%s hears the announcement of another guest: %s", g.Name, responder.Describe(frame))
			}
		}
	}
}

// isTold reports whether the last announcement of the address that the guest has heard from the fabric names a MAC.
func (g *guest) isTold(mac registry.MAC) bool {
	told := registry.MAC{}
	for _, frame := range g.receivedARP() {
		if id := responder.SenderIdentityOf(frame); id.Sender == sharedAddr && id.Target == sharedAddr {
			told = id.MAC
		}
	}
	return told == mac
}

// TestHolderInARange has one address of a range move. The others stay where they are.
func TestHolderInARange(t *testing.T) {
	s := buildAllowList(t, build(t, onBridge))
	f := start(t, strings.Replace(s.shared(t, appMAC, dbMAC), sharedAddr.String()+":", "10.239.0.112-10.239.0.126:", 1))
	s.introduce(t, 1_000_000)
	s.db.send(t, announcement(s.db, arp.OperationRequest))
	s.expectHolder(t, f, s.db, s.app, 100)
	for _, addr := range []string{"10.239.0.112", "10.239.0.119", "10.239.0.121", "10.239.0.126"} {
		if b, _ := f.Config().Networks[0].Registry.Lookup(netip.MustParseAddr(addr)); b.MAC != appMAC {
			t.Errorf("%s is with %s", addr, b.MAC)
		}
	}
	s.app.send(t, announcement(s.app, arp.OperationRequest))
	s.expectHolder(t, f, s.app, s.db, 200)
}

// TestHolderFlaps has both guests announce the address all the time. The fabric answers others meanwhile, and in the end the
// last one holds it. A second address that moves after that tells when the fabric has applied all announcements.
func TestHolderFlaps(t *testing.T) {
	s := buildAllowList(t, build(t, onBridge))
	last := sharedAddr.Next()
	f := start(t, s.shared(t, appMAC, dbMAC)+fmt.Sprintf("      %s: {macs: [%q, %q]}\n", last, appMAC, dbMAC))
	s.introduce(t, 1_000_000)
	for range 200 {
		s.app.send(t, announcement(s.app, arp.OperationRequest))
		s.db.send(t, announcement(s.db, arp.OperationRequest))
	}
	s.idle.ask(t)
	s.app.send(t, announcement(s.app, arp.OperationReply))
	s.db.send(t, lab.Request(s.db.MAC, last, last).Frame())
	labtest.Eventually(t, "the second address moves", func() bool {
		b, _ := f.Config().Networks[0].Registry.Lookup(last)
		return b.MAC == dbMAC
	})
	s.expectHolder(t, f, s.app, s.db, 100)
}
