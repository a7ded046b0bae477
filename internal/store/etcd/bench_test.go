package etcd

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/internal/store/etcd/etcdtest"
)

// BenchmarkHosts measures many hosts with one etcd of three members, all on one machine: the time until all have started, the
// time until a change has reached the last host, and the time until all are back after etcd was restarted.
func BenchmarkHosts(b *testing.B) {
	if testing.Short() {
		benchmarkHosts(b, 5, 100)
		return
	}
	for _, bindings := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("100x%d", bindings), func(b *testing.B) { benchmarkHosts(b, 100, bindings) })
	}
}

func benchmarkHosts(b *testing.B, hosts, bindings int) {
	c := etcdtest.Start(b, 3)
	fill(b, c, bindings)
	began := time.Now()
	all := make([]*host, hosts)
	var started sync.WaitGroup
	for i := range all {
		started.Go(func() { all[i] = newHost(b, fmt.Sprint("host", i), c.Endpoints()...) })
	}
	started.Wait()
	for _, h := range all {
		h.awaitLen(bindings)
	}
	start := time.Since(began)
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	var delays []time.Duration
	n := bindings
	for b.Loop() {
		n++
		changed := time.Now()
		all[n%hosts].commit(change(store.Allocate, allocation(n, "")))
		for _, h := range all {
			h.awaitLen(n)
		}
		delays = append(delays, time.Since(changed))
	}
	slices.Sort(delays)
	b.ReportMetric(float64(delays[len(delays)*99/100].Milliseconds()), "everywhere-p99-ms")
	c.KillAll()
	for i := range 3 {
		c.Restart(i)
	}
	restarted := time.Now()
	c.AwaitReady()
	all[0].expectHealthy()
	all[0].commit(change(store.Allocate, allocation(n+1, "")))
	for _, h := range all {
		h.awaitLen(n + 1)
	}
	b.ReportMetric(time.Since(restarted).Seconds(), "back-s")
	b.ReportMetric(start.Seconds(), "start-s") // only after the loop, which forgets it
	b.ReportMetric(float64(memory.HeapAlloc)/float64(hosts)/1e6, "MB/host")
	size := strings.Split(c.Ctl("endpoint", "status"), ", ")[3]
	b.Logf("%d hosts, %d bindings, etcd's database: %s", hosts, bindings, size)
}

// fill allocates the first addresses of network lab.
func fill(b *testing.B, c *etcdtest.Cluster, n int) {
	b.Helper()
	ctx := context.Background()
	d, err := Connect(ctx, &config.Etcd{Endpoints: c.Endpoints(), Prefix: "/arpfabric", Host: "filler"})
	labtest.Must(b, err)
	defer d.Close()
	var changes []store.Change
	for i := range n {
		changes = append(changes, change(store.Allocate, allocation(i+1, fmt.Sprint("guest", i))))
	}
	for some := range slices.Chunk(changes, MostAdded) {
		labtest.Must(b, d.Add(ctx, some))
	}
}

// awaitLen waits until the host has received a number of allocations, however long that takes.
func (h *host) awaitLen(n int) {
	for h.Receive(); h.Table().Len("lab") != n; h.Receive() {
		time.Sleep(2 * time.Millisecond)
	}
}
