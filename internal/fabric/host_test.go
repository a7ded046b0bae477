package fabric_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"slices"
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

// hostNeighbor returns the host's entry for addr on br0, if it has one with a MAC.
func hostNeighbor(t *testing.T, addr netip.Addr) (netlink.Neigh, bool) {
	t.Helper()
	return hostNeighborOn(t, bridgeName, addr)
}

// hostNeighborOn returns the host's entry for addr on an interface, if it has one with a MAC.
func hostNeighborOn(t *testing.T, device string, addr netip.Addr) (netlink.Neigh, bool) {
	t.Helper()
	entries, err := netlink.NeighList(linkIndex(device), unix.AF_INET)
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
	ctx, cancel := context.WithTimeout(context.Background(), lab.Patience)
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

// TestHostsEntriesStayFresh has the host send to db while its entry for it ages, much sooner than they do: it asks db's
// MAC whether it is still there, as a kernel does, and is answered each time. No guest hears that.
func TestHostsEntriesStayFresh(t *testing.T) {
	const times = 8 // a kernel gives up after 3 and asks everybody
	s := build(t, onBridge)
	mustAge(t, setNeighbor(bridgeName, "base_reachable_time_ms", "200"))
	mustAge(t, setNeighbor(bridgeName, "delay_first_probe_time", "0"))
	capture, err := lab.StartCapture(bridgeName)
	must(t, err)
	t.Cleanup(func() { capture.Close() })
	f := start(t, withHost(t, network(s.attach)))
	conn, err := net.ListenPacket("udp4", netip.AddrPortFrom(hostAddr.Addr(), 0).String())
	must(t, err)
	defer conn.Close()
	discard := net.UDPAddrFromAddrPort(netip.AddrPortFrom(dbAddr, 9))
	number := 0
	lab.Eventually(t, "the host asks again and again", func() bool {
		number++
		data := fmt.Appendf(nil, "datagram %4d", number)
		_, err := conn.WriteTo(data, discard)
		must(t, err)
		lab.Eventually(t, string(data)+" arrives", func() bool {
			return slices.ContainsFunc(s.db.arrived(), func(frame []byte) bool { return bytes.Contains(frame, data) })
		})
		return f.counts(bridgeName)[responder.Answered] >= times
	})
	found := false // db, which is asked for by broadcast until it is
	for _, seen := range capture.Frames() {
		if !seen.Sent || !lab.CarriesARP(seen.Frame) {
			continue
		}
		toDB := bytes.Equal(seen.Frame[:6], dbMAC[:])
		if found && !toDB {
			t.Errorf("the host asks again by %x", seen.Frame)
		}
		found = found || toDB
	}
	s.expectSilenceAmongShouters(t, s.app, s.db) // who is sent to asks for the host
}

func TestHostAsksForNobody(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, withHost(t, network(s.attach)))
	if err := dial(freeAddr); !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("dialling an address that nobody has: %v", err)
	}
	f.expectCounts(t, bridgeName, counts{responder.UnknownTarget: 1}, "dialling") // not asked a second time
	for range 3 {
		if err := dial(freeAddr); !errors.Is(err, unix.EHOSTUNREACH) {
			t.Errorf("dialling it again: %v", err)
		}
	}
	f.expectCounts(t, bridgeName, counts{responder.UnknownTarget: 4}, "dialling again, at once") // once each
}

func TestHostWithoutABindingIsNotAnswered(t *testing.T) {
	s := build(t, onBridge)
	log := &journal{}
	f := startLogging(t, loadConfig(t, network(s.attach)), slog.NewJSONHandler(log, nil))
	if err := dial(dbAddr); !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("dialling without being answered: %v", err)
	}
	if n := f.counts(bridgeName)[responder.UnregisteredSender]; n == 0 {
		t.Error("the host did not ask")
	}
	dev, err := net.InterfaceByName(bridgeName)
	must(t, err)
	if lines := log.with(t, "address", hostAddr.Addr().String()); len(lines) != 1 || lines[0]["mac"] != dev.HardwareAddr.String() {
		t.Errorf("of the binding to add, the log says %v", lines)
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

// TestHostKeepsTheAdministratorsEntries has a program ask for an address that the host has an entry for already, and the
// fabric stop.
func TestHostKeepsTheAdministratorsEntries(t *testing.T) {
	for name, state := range map[string]int{"permanent": unix.NUD_PERMANENT, "noarp": unix.NUD_NOARP} {
		t.Run(name, func(t *testing.T) {
			lab.NeedProgram(t, "arping")
			s := build(t, onBridge)
			f := start(t, withHost(t, network(s.attach)))
			dial(dbAddr)
			own := &netlink.Neigh{
				LinkIndex: linkIndex(bridgeName), Family: unix.AF_INET, State: state,
				IP: dbAddr.AsSlice(), HardwareAddr: net.HardwareAddr{0x02, 0, 0, 0, 0, 0x77},
			}
			must(t, netlink.NeighSet(own))
			exec.Command("arping", "-c", "1", "-w", "1", "-I", bridgeName, dbAddr.String()).Run()
			f.expectCounts(t, bridgeName, counts{responder.Answered: 2}, "dialling and arping")
			f.stop()
			if e, ok := hostNeighbor(t, dbAddr); !ok || !bytes.Equal(e.HardwareAddr, own.HardwareAddr) {
				t.Errorf("the administrator's entry is now %v, %v", e, ok)
			}
		})
	}
}

func TestClassicHostIsLeftAlone(t *testing.T) {
	s := build(t, onBridge)
	start(t, network(s.attach, "mode: classic"))
	lab.NeedProgram(t, "ping")
	ping(t, dbAddr)
	lab.Eventually(t, "idle hears the host", func() bool { return len(s.idle.heard()) > 0 })
}
