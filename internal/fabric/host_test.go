package fabric_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// withHost adds the host's own address on br0 to a configuration.
func withHost(t *testing.T, configuration string) string {
	t.Helper()
	dev, err := net.InterfaceByName(bridgeName)
	labtest.Must(t, err)
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
	labtest.Must(t, err)
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

// dial makes the host send to an address, where no program listens, and returns the error.
func dial(addr netip.Addr) error {
	ctx, cancel := context.WithTimeout(context.Background(), labtest.Patience)
	defer cancel()
	_, err := new(net.Dialer).DialContext(ctx, "tcp4", netip.AddrPortFrom(addr, 9).String())
	return err
}

// sendDatagram sends a datagram to an address, where no program listens.
func sendDatagram(addr netip.Addr) error {
	conn, err := net.Dial("udp4", netip.AddrPortFrom(addr, 9).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte("datagram"))
	return err
}

// TestHostReachesGuests checks that the host, with an address on the bridge, and guests reach each other, and that no
// guest receives the host's requests.
func TestHostReachesGuests(t *testing.T) {
	labtest.NeedProgram(t, "ping")
	each(t, guarded, func(t *testing.T, s *stage) {
		start(t, withHost(t, network(s.attach)))
		ping(t, dbAddr)
		ping(t, appAddr)
		out, err := s.app.Run(context.Background(), "ping", "-c", "1", "-w", "20", hostAddr.Addr().String())
		if err != nil {
			t.Errorf("app can't ping the host: %v\n%s", err, out)
		}
		sendMark(t, s.app, s.idle, 1)
		if heard := s.idle.receivedARP(); len(heard) > 0 {
			t.Errorf("idle heard %s", responder.Describe(heard[0]))
		}
	})
}

// TestHostEntriesStayReachable has the host send to db while its neighbour entry ages, faster than by default. Each
// time, the kernel sends a unicast request to db's MAC, and is answered. No guest receives that.
func TestHostEntriesStayReachable(t *testing.T) {
	const times = 8 // the kernel broadcasts a request after 3 unanswered ones
	s := build(t, onBridge)
	mustAge(t, setNeighbor(bridgeName, "base_reachable_time_ms", "200"))
	mustAge(t, setNeighbor(bridgeName, "delay_first_probe_time", "0"))
	capture, err := lab.StartCapture(bridgeName)
	labtest.Must(t, err)
	t.Cleanup(func() { capture.Close() })
	f := start(t, withHost(t, network(s.attach)))
	conn, err := net.ListenPacket("udp4", netip.AddrPortFrom(hostAddr.Addr(), 0).String())
	labtest.Must(t, err)
	defer conn.Close()
	discard := net.UDPAddrFromAddrPort(netip.AddrPortFrom(dbAddr, 9))
	number := 0
	labtest.Eventually(t, "the host asks again and again", func() bool {
		number++
		data := fmt.Appendf(nil, "datagram %4d", number)
		_, err := conn.WriteTo(data, discard)
		labtest.Must(t, err)
		labtest.Eventually(t, string(data)+" arrives", func() bool {
			return slices.ContainsFunc(s.db.received(), func(frame []byte) bool { return bytes.Contains(frame, data) })
		})
		return f.counts(bridgeName)[responder.Answered] >= times
	})
	found := false // whether a unicast request is expected: until db is found, the host broadcasts
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
	s.expectSilenceAmongSenders(t, s.app, s.db) // both send requests for the host, to answer it
}

func TestHostAsksForUnknownAddress(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, withHost(t, network(s.attach)))
	if err := dial(freeAddr); !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("dialling an unregistered address: %v", err)
	}
	f.expectCounts(t, bridgeName, counts{responder.UnknownTarget: 1}, "dialling") // not asked a second time
	for range 3 {
		if err := dial(freeAddr); !errors.Is(err, unix.EHOSTUNREACH) {
			t.Errorf("dialling it again: %v", err)
		}
	}
	f.expectCounts(t, bridgeName, counts{responder.UnknownTarget: 4}, "dialling again, at once") // once each
}

// TestHostAsksFromAnyAddress has the host send to db from an address of another interface, as it does with a LAN address
// or with Docker's hairpin NAT: Linux asks by ARP from the packet's source address. No guest receives the request.
func TestHostAsksFromAnyAddress(t *testing.T) {
	labtest.NeedProgram(t, "ping")
	each(t, guarded, func(t *testing.T, s *stage) {
		labtest.Must(t, labtest.AddAddress("lo", hostsNetwork))
		t.Cleanup(func() { labtest.Must(t, removeAddress("lo", hostsNetwork)) })
		start(t, withHost(t, network(s.attach)))
		labtest.Must(t, s.db.Do(func() error {
			return netlink.RouteAdd(&netlink.Route{Gw: hostAddr.Addr().AsSlice()})
		}))
		out, err := exec.Command("ping", "-c", "1", "-w", "20", "-I", hostsNetwork.Addr().String(), dbAddr.String()).CombinedOutput()
		if err != nil {
			t.Errorf("the host can't ping db from %s: %v\n%s", hostsNetwork.Addr(), err, out)
		}
		sendMark(t, s.app, s.idle, 1)
		if heard := s.idle.receivedARP(); len(heard) > 0 {
			t.Errorf("idle heard %s", responder.Describe(heard[0]))
		}
	})
}

// TestHostWithoutABinding has the host send from its address in the guests' subnet, which has no binding. The host is
// answered; guests can't find it, which is a finding.
func TestHostWithoutABinding(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, network(s.attach))
	labtest.Must(t, sendDatagram(dbAddr)) // not TCP: db can't answer
	labtest.Eventually(t, "the host knows db", func() bool {
		e, ok := hostNeighbor(t, dbAddr)
		return ok && bytes.Equal(e.HardwareAddr, dbMAC[:])
	})
	f.expectCounts(t, bridgeName, counts{responder.Answered: 1}, "a datagram")
	if found := f.Findings()["lab"]; len(found) != 1 || !strings.Contains(found[0], hostAddr.Addr().String()) {
		t.Errorf("findings: %q", found)
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

// TestHostKeepsTheAdministratorsEntries has a program send a request for an address for which the host has a static
// entry, and then stops the fabric.
func TestHostKeepsTheAdministratorsEntries(t *testing.T) {
	for name, state := range map[string]int{"permanent": unix.NUD_PERMANENT, "noarp": unix.NUD_NOARP} {
		t.Run(name, func(t *testing.T) {
			labtest.NeedProgram(t, "arping")
			s := build(t, onBridge)
			requestOnce(t, bridgeName)
			f := start(t, withHost(t, network(s.attach)))
			dial(dbAddr)
			own := &netlink.Neigh{
				LinkIndex: linkIndex(bridgeName), Family: unix.AF_INET, State: state,
				IP: dbAddr.AsSlice(), HardwareAddr: net.HardwareAddr{0x02, 0, 0, 0, 0, 0x77},
			}
			labtest.Must(t, netlink.NeighSet(own))
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
	labtest.NeedProgram(t, "ping")
	ping(t, dbAddr)
	labtest.Eventually(t, "idle receives the ARP of the host", func() bool { return len(s.idle.receivedARP()) > 0 })
}
