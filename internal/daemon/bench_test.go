package daemon_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/daemon"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/load"
)

// BenchmarkClients lets a guest ask while 64 clients of the API do their worst, each kind in turn. An op is three
// thousand requests without them, with them, and while they do the same to the API of a fabric that answers no guest: what
// is lost to the processors that they take. The metrics are medians: how many times later than without clients 99
// of 100 answers had arrived.
func BenchmarkClients(b *testing.B) {
	guest, socket := startBench(b)
	elsewhere := filepath.Join(b.TempDir(), "elsewhere.sock")
	b.Cleanup(startClients(b, "elsewhere", elsewhere))
	kinds := []string{"slow", "deaf", "hearing", "greedy"}
	if testing.Short() { // to see that it runs
		kinds = kinds[:1]
	}
	order := benchOrder(3000, 1)
	order.Pause = 200 * time.Microsecond
	seen := map[string][]float64{}
	for range b.N {
		for _, kind := range kinds {
			without := float64(ask(b, guest, order).P99)
			seen["quiet-p99-ns"] = append(seen["quiet-p99-ns"], without)
			for suffix, of := range map[string]string{"": socket, "-elsewhere": elsewhere} {
				stop := startClients(b, kind, of)
				with := float64(ask(b, guest, order).P99)
				stop()
				unit := kind + "-p99-ratio" + suffix
				seen[unit] = append(seen[unit], with/without)
			}
		}
	}
	report(b, seen)
}

// BenchmarkWatch lets a guest ask as fast as it is answered, without and with one that watches. An op is a hundred thousand
// requests of each, in turn. The metrics are medians: what is left of the answers, and how many there are without.
func BenchmarkWatch(b *testing.B) {
	guest, socket := startBench(b)
	order := benchOrder(100_000, 64)
	seen := map[string][]float64{}
	for range b.N {
		without := rate(ask(b, guest, order), order)
		stop := startClients(b, "watch", socket)
		with := rate(ask(b, guest, order), order)
		stop()
		seen["replies/s"] = append(seen["replies/s"], without)
		seen["watched-ratio"] = append(seen["watched-ratio"], with/without)
	}
	report(b, seen)
}

func rate(r load.Result, o load.Order) float64 { return float64(o.Requests) / r.Took.Seconds() }

func report(b *testing.B, seen map[string][]float64) {
	for unit, values := range seen {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], unit)
	}
}

func ask(b *testing.B, guest *lab.Guest, o load.Order) load.Result {
	b.Helper()
	result, err := load.Ask(o, guest.Start)
	if err != nil {
		b.Fatal(err)
	}
	return result
}

var (
	benchGuest = netip.MustParseAddr("10.239.0.101")
	benchMAC   = net.HardwareAddr{2, 0, 6, 0xde, 0x54, 0xa8}
)

// benchOrder asks for the addresses of a range.
func benchOrder(requests, burst int) load.Order {
	o := load.Order{Interface: "eth0", Sender: benchGuest, Requests: requests, Burst: burst}
	for i := range 200 {
		o.Targets = append(o.Targets, netip.AddrFrom4([4]byte{10, 239, 1, byte(i + 1)}))
	}
	return o
}

const benchConfig = `
networks:
  bench:
    attach: {bridge: br0}
    registry: {10.239.0.101: %q, 10.239.1.0/24: "02:00:00:00:00:01"}
    policy: {rate_limit: off}
api: {socket: %q}
log: {level: error}
`

// startBench runs a daemon, and returns a guest of it and its socket.
func startBench(b *testing.B) (guest *lab.Guest, socket string) {
	b.Helper()
	if err := lab.AddBridge("br0"); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { lab.DeleteLink("br0") })
	guest, err := lab.AddGuest(lab.GuestConfig{Name: "asker", Port: "vnet1", Bridge: "br0", MAC: benchMAC})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { guest.Delete() })
	dir := b.TempDir()
	path := filepath.Join(dir, "arpfabric.yaml")
	socket = filepath.Join(dir, "api.sock")
	if err := os.WriteFile(path, fmt.Appendf(nil, benchConfig, benchMAC.String(), socket), 0o600); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- daemon.Run(ctx, path) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	for _, err = api.NewClient(socket).Status(ctx); err != nil; _, err = api.NewClient(socket).Status(ctx) {
		time.Sleep(10 * time.Millisecond)
	}
	return guest, socket
}
