package registry_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// BenchmarkNew makes a registry of a million bindings. MB is the memory that the registry keeps.
func BenchmarkNew(b *testing.B) {
	for _, width := range []uint32{1, 16} {
		b.Run(fmt.Sprintf("width=%d", width), func(b *testing.B) {
			before := heapBytes()
			var reg *registry.Registry
			for b.Loop() {
				reg = registrytest.Many(b, 1_000_000, width)
			}
			b.ReportMetric(float64(heapBytes()-before)/1e6, "MB")
			runtime.KeepAlive(reg)
		})
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkOwners goes through the runs of a million bindings. B/op is garbage; none of it is kept.
func BenchmarkOwners(b *testing.B) {
	reg := registrytest.Many(b, 1_000_000, 1)
	b.ReportAllocs()
	for b.Loop() {
		for range reg.Owners() {
		}
	}
}
