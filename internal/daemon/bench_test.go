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
	"github.com/arpfabric/arpfabric/internal/loadgen"
)

// BenchmarkClients measures a guest's requests while 64 hostile clients use the API, one kind after the other. An op is
// three thousand requests without clients, with clients, and with clients that use the API of another process: that
// shows the share of the delay that is due to the clients' use of the processors. The metrics are medians: the ratio of
// the 99th percentile of the latency with clients to that without.
func BenchmarkClients(b *testing.B) {
	guest, socket := startBench(b)
	elsewhere := filepath.Join(b.TempDir(), "elsewhere.sock")
	b.Cleanup(startClients(b, "elsewhere", elsewhere))
	kinds := []string{"slow", "unread", "reading", "greedy"}
	if testing.Short() { // only check that it runs
		kinds = kinds[:1]
	}
	job := benchJob(3000, 1)
	job.Pause = 200 * time.Microsecond
	seen := map[string][]float64{}
	for range b.N {
		for _, kind := range kinds {
			without := float64(ask(b, guest, job).P99)
			seen["quiet-p99-ns"] = append(seen["quiet-p99-ns"], without)
			for suffix, of := range map[string]string{"": socket, "-elsewhere": elsewhere} {
				stop := startClients(b, kind, of)
				with := float64(ask(b, guest, job).P99)
				stop()
				unit := kind + "-p99-ratio" + suffix
				seen[unit] = append(seen[unit], with/without)
			}
		}
	}
	report(b, seen)
}

// BenchmarkWatch measures a guest that sends requests as fast as it gets answers, without and with a client that
// watches. An op is a hundred thousand requests of each. The metrics are medians: the answers a second without the
// client, and the ratio of those with it to those without.
func BenchmarkWatch(b *testing.B) {
	guest, socket := startBench(b)
	job := benchJob(100_000, 64)
	seen := map[string][]float64{}
	for range b.N {
		without := rate(ask(b, guest, job), job)
		stop := startClients(b, "watch", socket)
		with := rate(ask(b, guest, job), job)
		stop()
		seen["replies/s"] = append(seen["replies/s"], without)
		seen["watched-ratio"] = append(seen["watched-ratio"], with/without)
	}
	report(b, seen)
}

func rate(r loadgen.Result, j loadgen.Job) float64 { return float64(j.Requests) / r.Took.Seconds() }

func report(b *testing.B, seen map[string][]float64) {
	for unit, values := range seen {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], unit)
	}
}

func ask(b *testing.B, guest *lab.Guest, j loadgen.Job) loadgen.Result {
	b.Helper()
	result, err := loadgen.Run(j, guest.Start)
	if err != nil {
		b.Fatal(err)
	}
	return result
}

var (
	benchGuest = netip.MustParseAddr("10.239.0.101")
	benchMAC   = net.HardwareAddr{2, 0, 6, 0xde, 0x54, 0xa8}
)

// benchJob returns a job that asks for the 200 addresses of a range in turn.
func benchJob(requests, burst int) loadgen.Job {
	j := loadgen.Job{Interface: "eth0", Sender: benchGuest, Requests: requests, Burst: burst}
	for i := range 200 {
		j.Targets = append(j.Targets, netip.AddrFrom4([4]byte{10, 239, 1, byte(i + 1)}))
	}
	return j
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

// startBench runs a daemon, and returns a guest on its bridge and the socket of its API.
func startBench(b *testing.B) (guest *lab.Guest, socket string) {
	b.Helper()
	if err := lab.AddBridge("br0"); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { lab.DeleteLink("br0") })
	guest, err := lab.AddGuest(lab.GuestConfig{Name: "requester", Port: "vnet1", Bridge: "br0", MAC: benchMAC})
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
	go func() { ended <- daemon.Run(ctx, path, "") }()
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
