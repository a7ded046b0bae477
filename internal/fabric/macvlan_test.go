package fabric_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A macvlan on br0, as keepalived's use_vmac makes it, and its address.
var (
	macvlanMAC  = registry.MAC{0x02, 0x00, 0x5e, 0x00, 0x01, 0x0a}
	macvlanAddr = netip.MustParsePrefix("10.239.0.50/32")
)

const macvlanName = "vrrp10"

// addMacvlan makes the macvlan, until the test ends.
func addMacvlan(t *testing.T, mode netlink.MacvlanMode) netlink.Link {
	t.Helper()
	attrs := netlink.LinkAttrs{Name: macvlanName, ParentIndex: linkIndex(bridgeName), HardwareAddr: net.HardwareAddr(macvlanMAC[:])}
	l := &netlink.Macvlan{LinkAttrs: attrs, Mode: mode}
	labtest.Must(t, netlink.LinkAdd(l))
	t.Cleanup(func() { lab.DeleteLink(macvlanName) })
	return l
}

// useMacvlan gives the macvlan its address, and sends packets for db out of it.
func useMacvlan() error {
	l, err := netlink.LinkByName(macvlanName)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return err
	}
	if err := labtest.AddAddress(macvlanName, macvlanAddr); err != nil {
		return err
	}
	to := &net.IPNet{IP: dbAddr.AsSlice(), Mask: net.CIDRMask(32, 32)}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: to, Scope: unix.RT_SCOPE_LINK, Src: macvlanAddr.Addr().AsSlice()})
}

func withMacvlan(configuration string) string {
	return strings.Replace(configuration, "registry:\n", fmt.Sprintf("registry:\n      %s: %q\n", macvlanAddr.Addr(), macvlanMAC), 1)
}

// TestHostMacvlan pings between db and a macvlan on the host's bridge. The macvlan is there at the start, or made later.
func TestHostMacvlan(t *testing.T) {
	labtest.NeedProgram(t, "ping")
	modes := map[string]netlink.MacvlanMode{"private": netlink.MACVLAN_MODE_PRIVATE, "bridge": netlink.MACVLAN_MODE_BRIDGE}
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			each(t, guarded, func(t *testing.T, s *stage) {
				if mode == netlink.MACVLAN_MODE_BRIDGE {
					addMacvlan(t, mode)
				}
				f := start(t, withMacvlan(network(s.attach)))
				if mode == netlink.MACVLAN_MODE_PRIVATE {
					addMacvlan(t, mode)
					f.settle(t)
				}
				labtest.Must(t, useMacvlan())
				ping(t, dbAddr)
				s.app.expectSuccess(t, "ping", "-c", "1", "-w", "20", macvlanAddr.Addr().String())
				if s.attachment == onTAP {
					return // the bridge doesn't know the macvlan's MAC, and floods the answer from the TAP
				}
				sendMark(t, s.app, s.idle, 1)
				if heard := s.idle.receivedARP(); len(heard) > 0 {
					t.Errorf("idle heard %s", responder.Describe(heard[0]))
				}
			})
		})
	}
}

// TestHostMacvlanFollowsTheRegistry checks that the entry of a macvlan changes with the binding, and goes with it.
func TestHostMacvlanFollowsTheRegistry(t *testing.T) {
	s := build(t, onBridge)
	addMacvlan(t, netlink.MACVLAN_MODE_PRIVATE)
	labtest.Must(t, useMacvlan())
	configuration := withMacvlan(network(s.attach))
	f := start(t, configuration)
	dial(dbAddr)
	if e, ok := hostNeighborOn(t, macvlanName, dbAddr); !ok || e.HardwareAddr.String() != dbMAC.String() {
		t.Fatalf("the macvlan's entry for db: %v, %v", e, ok)
	}
	f.reload(t, strings.Replace(configuration, dbMAC.String(), "02:00:0b:de:54:a8", 1))
	if e, ok := hostNeighborOn(t, macvlanName, dbAddr); !ok || e.HardwareAddr.String() != "02:00:0b:de:54:a8" {
		t.Errorf("after db has another MAC: %v, %v", e, ok)
	}
	f.stop()
	if e, ok := hostNeighborOn(t, macvlanName, dbAddr); ok {
		t.Errorf("after the fabric is gone: %v", e)
	}
}

// TestMacvlanElsewhere has a macvlan in another network namespace ask for db. Its neighbour table is out of reach; the
// event and the log say so.
func TestMacvlanElsewhere(t *testing.T) {
	s := build(t, onBridge)
	l := addMacvlan(t, netlink.MACVLAN_MODE_BRIDGE)
	elsewhere, err := os.Open("/run/netns/" + s.idle.Name)
	labtest.Must(t, err)
	defer elsewhere.Close()
	labtest.Must(t, netlink.LinkSetNsFd(l, int(elsewhere.Fd())))
	log := &journal{}
	f := startLogging(t, loadConfig(t, withMacvlan(network(s.attach))), slog.NewJSONHandler(log, nil))
	listener := f.Listen(event.Filter{Reasons: []responder.Reason{responder.Answered}}, 16, 0)
	defer listener.Close()
	labtest.Must(t, s.idle.Do(useMacvlan))
	labtest.Must(t, s.idle.Do(func() error { return sendDatagram(dbAddr) }))
	events := make([]event.Event, 16)
	labtest.Eventually(t, "the request is decided about", func() bool { n, _ := listener.Take(events); return n > 0 })
	if !strings.Contains(events[0].Undelivered, "no interface of arpfabric's network namespace") {
		t.Errorf("the first event: %+v", events[0])
	}
	if lines := log.with(t, "mac", macvlanMAC.String()); len(lines) != 1 {
		t.Errorf("log lines about the macvlan: %v", lines)
	}
}
