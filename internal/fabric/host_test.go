package fabric_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// withHost adds the host's own address on br0 to a configuration.
func withHost(t *testing.T, configuration string) string {
	t.Helper()
	dev, err := net.InterfaceByName(bridgeName)
	must(t, err)
	return strings.Replace(configuration, "registry:\n", fmt.Sprintf("registry:\n      %s: %q\n", hostAddr.Addr(), dev.HardwareAddr), 1)
}

// hostNeighbor returns the host's entry for addr, if it has one with a MAC.
func hostNeighbor(t *testing.T, addr netip.Addr) (netlink.Neigh, bool) {
	t.Helper()
	entries, err := netlink.NeighList(linkIndex(bridgeName), unix.AF_INET)
	must(t, err)
	for _, e := range entries {
		if e.IP.Equal(addr.AsSlice()) && len(e.HardwareAddr) > 0 && e.State != unix.NUD_FAILED {
			return e, true
		}
	}
	return netlink.Neigh{}, false
}

func ping(t *testing.T, addr netip.Addr) {
	t.Helper()
	out, err := exec.Command("ping", "-c", "1", "-w", "20", addr.String()).CombinedOutput()
	if err != nil {
		t.Errorf("the host can't ping %s: %v\n%s", addr, err, out)
	}
}

// dial makes the host send to an address and returns how that fails: nobody listens there.
func dial(addr netip.Addr) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := new(net.Dialer).DialContext(ctx, "tcp4", netip.AddrPortFrom(addr, 9).String())
	return err
}

// TestHostReachesGuests has the host, with an address on the bridge, reach guests without a guest hearing
// it ask, and guests reach the host.
func TestHostReachesGuests(t *testing.T) {
	lab.NeedProgram(t, "ping")
	each(t, guarded, func(t *testing.T, s *stage) {
		start(t, withHost(t, network(s.attach)))
		ping(t, dbAddr)
		ping(t, appAddr)
		out, err := s.app.Run(context.Background(), "ping", "-c", "1", "-w", "20", hostAddr.Addr().String())
		if err != nil {
			t.Errorf("app can't ping the host: %v\n%s", err, out)
		}
		sendMark(t, s.app, s.idle, 1)
		if heard := s.idle.heard(); len(heard) > 0 {
			t.Errorf("idle heard %s", responder.Describe(heard[0]))
		}
	})
}

func TestHostAsksForNobody(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, withHost(t, network(s.attach)))
	if err := dial(freeAddr); !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("dialling an address that nobody has: %v", err)
	}
	f.expectCounts(t, bridgeName, counts{responder.UnknownTarget: 1}, "dialling") // not asked a second time
}

func TestHostWithoutABindingIsNotAnswered(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, network(s.attach))
	if err := dial(dbAddr); !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("dialling without being answered: %v", err)
	}
	if n := f.counts(bridgeName)[responder.UnregisteredSender]; n == 0 {
		t.Error("the host did not ask")
	}
	if e, ok := hostNeighbor(t, dbAddr); ok {
		t.Errorf("the host knows %v", e)
	}
}

func TestHostFollowsTheRegistry(t *testing.T) {
	s := build(t, onBridge)
	configuration := withHost(t, network(s.attach))
	f := start(t, configuration)
	dial(dbAddr)
	if e, ok := hostNeighbor(t, dbAddr); !ok || !bytes.Equal(e.HardwareAddr, dbMAC[:]) {
		t.Fatalf("the host's entry for db: %v, %v", e, ok)
	}
	f.reload(t, strings.Replace(configuration, dbMAC.String(), "02:00:0b:de:54:a8", 1))
	if e, ok := hostNeighbor(t, dbAddr); !ok || e.HardwareAddr.String() != "02:00:0b:de:54:a8" {
		t.Errorf("after db has another MAC: %v, %v", e, ok)
	}
	f.reload(t, strings.Replace(configuration, dbAddr.String()+":", "10.239.0.99:", 1))
	if e, ok := hostNeighbor(t, dbAddr); ok {
		t.Errorf("after db is gone: %v", e)
	}
	f.reload(t, configuration)
	dial(dbAddr)
	f.stop()
	if e, ok := hostNeighbor(t, dbAddr); ok {
		t.Errorf("after the fabric is gone: %v", e)
	}
}

func TestHostKeepsPermanentEntries(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, withHost(t, network(s.attach)))
	dial(dbAddr)
	permanent := &netlink.Neigh{
		LinkIndex: linkIndex(bridgeName), Family: unix.AF_INET, State: unix.NUD_PERMANENT,
		IP: dbAddr.AsSlice(), HardwareAddr: net.HardwareAddr{0x02, 0, 0, 0, 0, 0x77},
	}
	must(t, netlink.NeighSet(permanent))
	f.stop()
	if e, ok := hostNeighbor(t, dbAddr); !ok || !bytes.Equal(e.HardwareAddr, permanent.HardwareAddr) {
		t.Errorf("the administrator's entry is now %v, %v", e, ok)
	}
}

func TestClassicHostIsLeftAlone(t *testing.T) {
	s := build(t, onBridge)
	start(t, network(s.attach, "mode: classic"))
	lab.NeedProgram(t, "ping")
	ping(t, dbAddr)
	eventually(t, "idle hears the host", func() bool { return len(s.idle.heard()) > 0 })
}
