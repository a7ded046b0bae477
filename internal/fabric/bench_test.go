package fabric_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/loadgen"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// BenchmarkAnswers lets a guest send requests for the addresses of a thousand bindings, over and over:
//
//	guest's eth0 --- veth pair --- benchPort --- responder
//
// The guest waits for the answer before it sends the next request (burst=1), or for the answers to a whole burst. An op
// is one answer. p99-ns is the time after the start of a burst within which 99 of 100 answers have arrived, as tcpdump
// would show it; it does not include the time to wake the guest up. lost is the number of requests that were sent
// again.
func BenchmarkAnswers(b *testing.B) {
	for _, who := range []struct {
		name   string
		bridge string // bridge of benchPort
		start  func(b *testing.B)
	}{
		{"bridge", "br0", func(b *testing.B) { benchFabric(b, config.Attachment{Bridge: "br0"}) }},
		{"tap", "br0", func(b *testing.B) {
			benchFabric(b, config.Attachment{Kind: config.AttachTAP, Device: "arp0", Bridge: "br0"})
		}},
		{"interface", "", func(b *testing.B) { benchFabric(b, config.Attachment{Kind: config.AttachInterface, Device: benchPort}) }},
		{"plain", "", benchPlainResponder},
		{"proxy_arp", "", benchProxyARP},
	} {
		b.Run(who.name, func(b *testing.B) {
			guest := addBenchGuest(b, who.bridge)
			who.start(b)
			b.Run("burst=1", func(b *testing.B) { ask(b, guest, 1) })
			b.Run("burst=64", func(b *testing.B) { ask(b, guest, 64) })
		})
	}
}

func ask(b *testing.B, guest *lab.Guest, burst int) {
	order := loadgen.Job{Interface: "eth0", Sender: benchGuest.First, Requests: b.N, Burst: burst}
	for _, binding := range benchTargets {
		order.Targets = append(order.Targets, binding.First)
	}
	result, err := loadgen.Run(order, guest.Start)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(result.Took)/float64(b.N), "ns/op") // without starting a process
	b.ReportMetric(float64(b.N)/result.Took.Seconds(), "replies/s")
	b.ReportMetric(float64(result.P99), "p99-ns")
	b.ReportMetric(float64(result.Lost), "lost")
}

const benchPort = "bench0"

var (
	benchGuest   = benchBinding(1)
	benchTargets = benchBindings(2, 1001)
)

// benchBinding returns binding i: 10.239.0.1, 10.239.0.2 and so on.
func benchBinding(i int) registry.Binding {
	addr := netip.AddrFrom4([4]byte{10, byte(239 + i>>16), byte(i >> 8), byte(i)})
	return registry.Binding{First: addr, Last: addr, MAC: registry.MAC{0x02, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}}
}

// benchBindings returns the bindings from number first to end-1.
func benchBindings(first, end int) (bindings []registry.Binding) {
	for i := first; i < end; i++ {
		bindings = append(bindings, benchBinding(i))
	}
	return bindings
}

func addBenchGuest(b *testing.B, bridge string) *lab.Guest {
	b.Helper()
	if bridge != "" {
		if err := lab.AddBridge(bridge); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { lab.DeleteLink(bridge) })
	}
	requester := lab.GuestConfig{Name: "requester", Port: benchPort, Bridge: bridge, MAC: benchGuest.MAC[:]}
	guest, err := lab.AddGuest(requester)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { guest.Delete() })
	return guest
}

func benchFabric(b *testing.B, attach config.Attachment) {
	b.Helper()
	if attach.Kind == config.AttachTAP {
		labtest.NeedTUN(b)
	}
	n := benchNetwork(b, attach, 1000)
	n.Guard = config.GuardARP
	b.Cleanup(startBench(b, n))
}

// defaultRate is the rate limit of a configuration that does not name one.
const defaultRate = 10_000

// benchNetwork returns a network with the defaults of the configuration, and with a number of bindings.
func benchNetwork(b *testing.B, attach config.Attachment, bindings int) config.Network {
	b.Helper()
	known, err := registry.New(slices.Values(benchBindings(1, bindings+1)))
	if err != nil {
		b.Fatal(err)
	}
	return config.Network{
		Name: "bench", Mode: config.VPC, Attach: attach, Registry: known,
		Guard: config.GuardFull, OnStop: config.Release,
	}
}

// startBench runs a fabric until stop is called.
func startBench(b *testing.B, n config.Network) (stop func()) {
	b.Helper()
	_, stop = runBench(b, n)
	return stop
}

// runBench runs a fabric until stop is called.
func runBench(b *testing.B, n config.Network) (f *fabric.Fabric, stop func()) {
	b.Helper()
	f = fabric.New(&config.Config{Networks: []config.Network{n}}, slog.New(slog.DiscardHandler), newDatapath(b))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	select {
	case <-f.Ready():
	case err := <-ended:
		b.Fatal(err)
	}
	return f, func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}
}

// benchPlainResponder answers from a packet socket and a map, in the simplest way that mdlayher/arp offers.
func benchPlainResponder(b *testing.B) {
	b.Helper()
	if err := labtest.AddAddress(benchPort, netip.MustParsePrefix("192.0.2.1/24")); err != nil { // arp.Dial needs an address
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
	b.Cleanup(func() { client.Close() })
	go answerPlainly(client)
}

func answerPlainly(client *arp.Client) {
	owners := map[netip.Addr]net.HardwareAddr{}
	for _, binding := range benchTargets {
		owners[binding.First] = binding.MAC[:]
	}
	for {
		request, _, err := client.Read()
		if err != nil {
			return
		}
		if owner, ok := owners[request.TargetIP]; ok && request.Operation == arp.OperationRequest {
			client.Reply(request, owner, request.TargetIP)
		}
	}
}

// benchProxyARP makes the kernel answer for addresses to which it has a route through another interface (proxy ARP).
func benchProxyARP(b *testing.B) {
	b.Helper()
	owner := lab.GuestConfig{Name: "owner", Port: "bench1", MAC: net.HardwareAddr{0x02, 0, 0, 1, 0, 0}}
	other, err := lab.AddGuest(owner)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { other.Delete() })
	for setting, value := range map[string]string{ // ip-sysctl.rst and arp(7)
		"conf/" + benchPort + "/forwarding":   "1",
		"conf/" + benchPort + "/proxy_arp":    "1",
		"neigh/" + benchPort + "/proxy_delay": "0",
	} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+setting, []byte(value), 0); err != nil {
			b.Fatal(err)
		}
	}
	addBenchRoute(b, netip.PrefixFrom(benchGuest.First, 32), benchPort)
	addBenchRoute(b, netip.MustParsePrefix("10.239.0.0/16"), owner.Port)
}

func addBenchRoute(b *testing.B, to netip.Prefix, by string) {
	b.Helper()
	link, err := netlink.LinkByName(by)
	if err != nil {
		b.Fatal(err)
	}
	dst := &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), 32)}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Scope: unix.RT_SCOPE_LINK}
	if err := netlink.RouteAdd(route); err != nil {
		b.Fatal(err)
	}
}
