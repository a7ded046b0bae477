package fabric_test

import (
	"bytes"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath/bpf"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/vishvananda/netlink"
)

// needKernelDatapath skips a test that is about the eBPF programs where this user can't have them.
func needKernelDatapath(t *testing.T) {
	t.Helper()
	if _, isKernel := newDatapath(t).(*bpf.Datapath); !isKernel {
		t.Skip("the tests run on the datapath of nftables")
	}
}

// locate has a guest send until the kernel answers it by itself.
func (g *guest) locate(t *testing.T, f *running) {
	t.Helper()
	labtest.Eventually(t, "the kernel answers "+g.Name, func() bool {
		before := f.answeredByKernel(t, g)
		g.ask(t)
		return f.answeredByKernel(t, g) > before
	})
}

func (f *running) answeredByKernel(t *testing.T, g *guest) uint64 {
	t.Helper()
	counters, err := f.datapath.Counters()
	labtest.Must(t, err)
	return counters[g.Port].Handled[responder.Verdict{Action: responder.Reply, Reason: responder.Answered}]
}

// TestKernelAnswersAlone holds that guests are answered, and reach each other, while no fabric runs, and that what was not
// allowed before is not then either.
func TestKernelAnswersAlone(t *testing.T) {
	needKernelDatapath(t)
	s := build(t, onBridge)
	t.Cleanup(removeGuard)
	fabric := start(t, network(s.attach, "policy: {on_stop: hold}"))
	s.app.locate(t, fabric)
	s.db.locate(t, fabric)
	fabric.stop()

	for range 10 {
		s.app.ask(t)
	}
	sendMark(t, s.app, s.db, 1)
	forged := mark(s.app, s.db, 2)
	copy(forged[26:], netip.MustParseAddr("10.239.0.200").AsSlice()) // the source
	s.app.send(t, forged)
	request := s.app.request(netip.MustParseAddr("10.239.0.200")).Frame()
	s.app.send(t, request)
	sendMark(t, s.app, s.db, 3)
	if s.db.hasReceived(forged) || s.db.hasReceived(request) || s.idle.hasReceived(request) {
		t.Error("a guest receives what is not allowed")
	}

	// The next one takes over: the port's program follows its registry.
	next := network(s.attach)
	next = string(bytes.ReplaceAll([]byte(next), []byte(dbMAC.String()), []byte("02:00:0c:de:54:a8")))
	start(t, next)
	labtest.Eventually(t, "the new owner of db's address is answered", func() bool {
		s.app.send(t, s.app.request(dbAddr).Frame())
		return slices.ContainsFunc(s.app.answers(), func(frame []byte) bool {
			return registry.MAC(frame[22:28]) == registry.MAC{2, 0, 0x0c, 0xde, 0x54, 0xa8}
		})
	})
}

// TestKernelLeavesOthersRules holds that a rule of another program for what crosses the bridge still applies.
func TestKernelLeavesOthersRules(t *testing.T) {
	needKernelDatapath(t)
	labtest.NeedProgram(t, "nft")
	s := build(t, onBridge)
	fabric := start(t, network(s.attach))
	s.app.locate(t, fabric)
	s.db.locate(t, fabric)
	sendMark(t, s.app, s.db, 1)
	t.Cleanup(func() { exec.Command("nft", "delete table bridge other").Run() })
	out, err := exec.Command("nft", "table bridge other { chain c { type filter hook forward priority 0; ether type ip drop; }; }").CombinedOutput()
	if err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
	number := 1
	labtest.Eventually(t, "the rule drops what app sends", func() bool {
		number++
		dropped := mark(s.app, s.db, number)
		s.app.send(t, dropped)
		before := s.app.answersFor(dbAddr)
		repeat(t, "app is answered, after its mark was handled",
			func() { s.app.Send(s.app.request(dbAddr).Frame()) },
			func() bool { return s.app.answersFor(dbAddr) > before })
		return !s.db.hasReceived(dropped)
	})
}

// TestForward holds that allowed frames go past the bridge, unless the policy says otherwise.
func TestForward(t *testing.T) {
	needKernelDatapath(t)
	for policy, isDirect := range map[string]bool{"auto": true, "bridge": false} {
		t.Run(policy, func(t *testing.T) {
			s := build(t, onBridge)
			fabric := start(t, network(s.attach, "policy: {forward: "+policy+"}"))
			s.app.locate(t, fabric)
			s.db.locate(t, fabric)
			sendMark(t, s.app, s.db, 1)
			counters, err := fabric.datapath.Counters()
			labtest.Must(t, err)
			admitted := counters[s.app.Port].Handled[responder.Verdict{Action: responder.Pass, Reason: responder.Admitted}]
			if (admitted > 0) != isDirect {
				t.Errorf("%d frames went past the bridge", admitted)
			}
		})
	}
}

// TestKernelAnswersOnAnInterface holds that a guest behind an interface is answered once for each request, by the kernel where it
// can, and while no fabric runs; and by the fabric when it no longer can.
func TestKernelAnswersOnAnInterface(t *testing.T) {
	needKernelDatapath(t)
	s := build(t, onInterface)
	s.db.setARP(t, "arp_ignore", "8") // never answer
	fabric := start(t, network(s.attach))
	eth1, err := net.InterfaceByName("eth1")
	labtest.Must(t, err)
	for i := range 20 {
		s.app.send(t, s.app.request(dbAddr).Frame())
		s.app.expectAnswer(t, 1+i, dbAddr, dbMAC)
	}
	counters, err := fabric.datapath.Counters()
	labtest.Must(t, err)
	if n := counters["eth1"].Handled[responder.Verdict{Action: responder.Reply, Reason: responder.Answered}]; n != 20 {
		t.Errorf("the kernel has answered %d requests", n)
	}
	s.app.expectAnswers(t, counts{responder.Answered: 20})

	// Others delete what the program is attached to. The fabric reads all ARP again, or attaches it again.
	labtest.Must(t, netlink.QdiscDel(&netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: eth1.Index, Parent: netlink.HANDLE_INGRESS}}))
	repeat(t, "the guest is answered again", func() { s.app.Send(s.app.request(gatewayAddr).Frame()) },
		func() bool { return s.app.answersFor(gatewayAddr) > 0 })
}
