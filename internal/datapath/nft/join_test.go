package nft_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// TestPortsThatJoinAreCheckedFirst checks that prerouting knows a port that joins before forward does.
func TestPortsThatJoinAreCheckedFirst(t *testing.T) {
	g := nft.NewBridgeTable(group)
	p := fullPlan(t)
	apply(t, g, p)
	p.Networks[0].Guests = append(p.Networks[0].Guests, "vnet9")
	transactions := monitor(t)
	apply(t, g, p)
	made := transactions()
	if len(made) != 2 {
		t.Fatalf("%d transactions, want 2", len(made))
	}
	if of := made[0]; of.rules > 0 || len(of.elements) != 1 || !of.holds("vnet9") {
		t.Errorf("first, %d rules and the elements %q; want one for prerouting", of.rules, of.elements)
	}
	if of := made[1]; of.rules > 0 || len(of.elements) < 2 || !of.holds("vnet9") {
		t.Errorf("then, %d rules and the elements %q; want those for forward", of.rules, of.elements)
	}
	expect(t, "ports", "eth1", "vnet0", "vnet1", "vnet2", "vnet3", "vnet4", "vnet5", "vnet9")

	p.Networks[0].RateLimit++
	transactions = monitor(t)
	apply(t, g, p)
	if made := transactions(); len(made) != 1 {
		t.Errorf("%d transactions without a port that joins, want 1", len(made))
	}
}

// TestForwardOfAHalfKnownPort takes a port out of the maps in which its frames are looked up before others, as a frame finds them
// that the kernel handles while the fabric adds the port. No guest receives what prerouting has not checked.
func TestForwardOfAHalfKnownPort(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	labtest.Must(t, lab.AddBridge("br0"))
	t.Cleanup(func() { lab.DeleteLink("br0") })
	var guests []*lab.Guest
	var captures []*lab.Capture
	var bindings []registry.Binding
	for i := range 3 {
		addr := netip.AddrFrom4([4]byte{10, 239, 0, byte(i + 1)})
		guest, err := lab.AddGuest(lab.GuestConfig{
			Name: fmt.Sprint("guest", i), Port: fmt.Sprint("vnet", i), Bridge: "br0", MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(i + 1)},
			Addr: netip.PrefixFrom(addr, 24),
		})
		labtest.Must(t, err)
		t.Cleanup(func() { guest.Delete() })
		capture, err := guest.StartCapture()
		labtest.Must(t, err)
		t.Cleanup(func() { capture.Close() })
		guests, captures = append(guests, guest), append(captures, capture)
		bindings = append(bindings, registry.Binding{First: addr, Last: addr, MAC: registry.MAC(guest.MAC)})
	}
	host, err := lab.StartCapture("br0")
	labtest.Must(t, err)
	t.Cleanup(func() { host.Close() })
	d := nft.New()
	t.Cleanup(func() { d.Remove() })
	s, err := link.ReadSnapshot()
	labtest.Must(t, err)
	labtest.Must(t, d.Apply(datapath.Plan{Networks: []datapath.Network{{
		Name: "lab", Bridge: "br0", Guests: []string{"vnet0", "vnet1", "vnet2"}, AllowList: datapath.Enforce,
		Registry: registrytest.New(t, bindings...),
	}}}, s))
	for _, from := range []string{"ports", "forwarding"} {
		damageTable(t, "delete element bridge arpfabric "+from+` { "vnet0" }`)
	}
	damageTable(t, `flush set bridge arpfabric unicast`)

	stranger := net.HardwareAddr{2, 0, 0x99, 0, 0, 0x99}
	for _, to := range []net.HardwareAddr{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, guests[1].MAC} {
		unchecked := lab.EchoReply(to, stranger, netip.MustParseAddr("10.239.0.99"), bindings[1].First, []byte("unchecked!")) // an even number of bytes
		mark := lab.EchoReply(guests[1].MAC, guests[2].MAC, bindings[2].First, bindings[1].First, fmt.Appendf(nil, "mark %v", to))
		labtest.Must(t, captures[0].Send(unchecked))
		if to[0] == 0xff {
			labtest.Eventually(t, "the host receives it", func() bool { return host.HasReceived(unchecked) })
		}
		labtest.Must(t, captures[2].Send(mark))
		labtest.Eventually(t, "a mark arrives", func() bool { return captures[1].HasReceived(mark) })
		if captures[1].HasReceived(unchecked) {
			t.Errorf("a guest has received a frame to %v that prerouting did not check", to)
		}
	}
}
