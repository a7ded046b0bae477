package fabric_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/load"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// BenchmarkAnswers has one guest ask for a thousand addresses in turn, over a veth pair whose other end is
// the port:
//
//	guest's eth0 ── port ── who answers
//
// It waits for the answer before it asks again (burst=1), or for all of a burst's. An op is one answer.
// p99-ns is the time from the request, or from its burst, to the answer, that 99 of 100 do not exceed;
// lost counts requests that had no answer within 100 ms.
func BenchmarkAnswers(b *testing.B) {
	for _, who := range []struct {
		name   string
		bridge string // that the port is a member of
		start  func(b *testing.B)
	}{
		{"bridge", "br0", func(b *testing.B) { runFabric(b, config.Attachment{Bridge: "br0"}) }},
		{"tap", "br0", func(b *testing.B) { runFabric(b, config.Attachment{TAP: "arp0", Bridge: "br0"}) }},
		{"interface", "", func(b *testing.B) { runFabric(b, config.Attachment{Interface: benchPort}) }},
		{"plain", "", runPlainResponder},
		{"proxy_arp", "", setProxyARP},
	} {
		b.Run(who.name, func(b *testing.B) {
			guest := addBenchGuest(b, who.bridge)
			who.start(b)
			asker := openAsker(b, guest)
			for _, burst := range []int{1, 64} {
				b.Run(fmt.Sprintf("burst=%d", burst), func(b *testing.B) { ask(b, asker, burst) })
			}
		})
	}
}

const benchPort = "bench0"

func ask(b *testing.B, asker *load.Asker, burst int) {
	result, err := asker.Ask(b.N, burst)
	if err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	slices.Sort(result.Times)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "replies/s")
	b.ReportMetric(float64(result.Times[(b.N-1)*99/100]), "p99-ns")
	b.ReportMetric(float64(result.Lost), "lost")
}

var (
	benchMAC   = responder.MAC{2, 0, 0, 0, 0, 1}
	benchGuest = netip.MustParseAddr("10.239.0.1")
)

// benchTarget is the address that is asked for as number i, and its owner's MAC.
func benchTarget(i int) (netip.Addr, responder.MAC) {
	addr := [4]byte{10, 239}
	binary.BigEndian.PutUint16(addr[2:], uint16(1<<8+i))
	mac := responder.MAC{2, 0}
	copy(mac[2:], addr[:])
	return netip.AddrFrom4(addr), mac
}

const benchTargets = 1000

func addBenchGuest(b *testing.B, bridge string) *lab.Guest {
	b.Helper()
	if bridge != "" {
		if err := lab.AddBridge(bridge); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { lab.DeleteLink(bridge) })
	}
	guest, err := lab.AddGuest(lab.GuestConfig{Name: "asker", Port: benchPort, Bridge: bridge, MAC: benchMAC[:]})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { guest.Delete() })
	return guest
}

func openAsker(b *testing.B, guest *lab.Guest) *load.Asker {
	b.Helper()
	var targets []netip.Addr
	for i := range benchTargets {
		addr, _ := benchTarget(i)
		targets = append(targets, addr)
	}
	var asker *load.Asker
	err := guest.Do(func() (err error) {
		asker, err = load.Open("eth0", benchGuest, targets)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { asker.Close() })
	return asker
}

func runFabric(b *testing.B, attach config.Attachment) {
	b.Helper()
	if attach.TAP != "" {
		lab.NeedTUN(b)
	}
	registry, err := responder.NewRegistry(func(yield func(responder.Binding) bool) {
		if !yield(responder.Binding{First: benchGuest, Last: benchGuest, MAC: benchMAC}) {
			return
		}
		for i := range benchTargets {
			addr, mac := benchTarget(i)
			if !yield(responder.Binding{First: addr, Last: addr, MAC: mac}) {
				return
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	network := config.Network{
		Name: "bench", Mode: config.VPC, Attach: attach, Registry: registry, Guard: config.GuardARP, OnStop: config.Release,
	}
	f := fabric.New(&config.Config{Networks: []config.Network{network}}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-ended
	})
	select {
	case <-f.Ready():
	case err := <-ended:
		ended <- err
		b.Fatal(err)
	}
}

// runPlainResponder answers on a packet socket from a map, as simply as mdlayher/arp lets one.
func runPlainResponder(b *testing.B) {
	b.Helper()
	if err := lab.AddAddress(benchPort, netip.MustParsePrefix("192.0.2.1/24")); err != nil { // arp.Dial wants one
		b.Fatal(err)
	}
	port, err := net.InterfaceByName(benchPort)
	if err != nil {
		b.Fatal(err)
	}
	client, err := arp.Dial(port)
	if err != nil {
		b.Fatal(err)
	}
	owners := map[netip.Addr]net.HardwareAddr{}
	for i := range benchTargets {
		addr, mac := benchTarget(i)
		owners[addr] = mac[:]
	}
	go func() {
		for {
			request, _, err := client.Read()
			if err != nil {
				return
			}
			if owner, ok := owners[request.TargetIP]; ok {
				client.Reply(request, owner, request.TargetIP)
			}
		}
	}()
	b.Cleanup(func() { client.Close() })
}

// setProxyARP has the kernel answer for all addresses that it has a route to by another interface.
func setProxyARP(b *testing.B) {
	b.Helper()
	elsewhere, err := lab.AddGuest(lab.GuestConfig{Name: "elsewhere", Port: "bench1", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { elsewhere.Delete() })
	for file, value := range map[string]string{
		"conf/" + benchPort + "/forwarding":   "1",
		"conf/" + benchPort + "/proxy_arp":    "1",
		"neigh/" + benchPort + "/proxy_delay": "0",
	} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+file, []byte(value), 0); err != nil {
			b.Fatal(err)
		}
	}
	addRoute(b, netip.PrefixFrom(benchGuest, 32), benchPort)
	addRoute(b, netip.MustParsePrefix("10.239.0.0/16"), "bench1")
}

func addRoute(b *testing.B, to netip.Prefix, port string) {
	b.Helper()
	l, err := netlink.LinkByName(port)
	if err != nil {
		b.Fatal(err)
	}
	dst := &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), 32)}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: dst, Scope: unix.RT_SCOPE_LINK}); err != nil {
		b.Fatal(err)
	}
}
