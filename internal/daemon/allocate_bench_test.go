package daemon_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/daemon"
	"github.com/arpfabric/arpfabric/internal/lab"
)

// BenchmarkAllocate allocates and frees an address by the API, on a bridge with 100 thousand bindings: by one caller, and
// by eight at once. An op is one allocation and one freeing, each on disk and in the kernel.
func BenchmarkAllocate(b *testing.B) {
	client := startAllocating(b, 100_000)
	for _, callers := range []int{1, 8} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for range b.N {
						one, err := client.Allocate(context.Background(), "bench", api.NewAllocation{})
						if err == nil {
							_, err = client.FreeBinding(context.Background(), "bench", one.First, one.Revision)
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(2*b.N*callers)/b.Elapsed().Minutes(), "changes/min")
		})
	}
}

// startAllocating runs a daemon with a store, and with bindings of the configuration.
func startAllocating(b *testing.B, bindings int) *api.Client {
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
	socket := filepath.Join(dir, "api.sock")
	var file strings.Builder
	for n := range bindings {
		fmt.Fprintf(&file, "06:00:%02x:%02x:%02x:01 10.%d.%d.%d\n", n>>16, n>>8&0xff, n&0xff, n>>16, n>>8&0xff, n&0xff)
	}
	text := fmt.Sprintf("networks:\n  bench:\n    attach: {bridge: br0}\n    registry_files: [many.ethers]\n"+
		"    allocation: {from: 10.100.0.0/16, hold: 1s}\napi: {socket: %q}\nstore: {folder: store}\nlog: {level: error}\n", socket)
	for name, content := range map[string]string{"arpfabric.yaml": text, "many.ethers": file.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- daemon.Run(ctx, filepath.Join(dir, "arpfabric.yaml"), "") }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	client := api.NewClient(socket)
	for _, err = client.Status(ctx); err != nil; _, err = client.Status(ctx) {
		time.Sleep(10 * time.Millisecond)
	}
	return client
}
