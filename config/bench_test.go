package config

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// The benchmarks report the time, and the memory that a configuration keeps, in bytes a binding.

func BenchmarkLoadYAML40k(b *testing.B) {
	const bindings = 40_000
	path := filepath.Join(b.TempDir(), "lab.yaml")
	if err := os.WriteFile(path, largeYAML(bindings), 0o600); err != nil {
		b.Fatal(err)
	}
	benchmarkLoad(b, path, bindings)
}

func BenchmarkLoadEthers1M(b *testing.B) {
	const bindings = 1_000_000
	dir := b.TempDir()
	writeLargeEthers(b, filepath.Join(dir, "hosts.ethers"), bindings)
	path := filepath.Join(dir, "lab.yaml")
	yaml := "networks: {lab: {attach: {bridge: br0}, registry_files: [hosts.ethers]}}\n"
	labtest.Write(b, path, yaml)
	benchmarkLoad(b, path, bindings)
}

func benchmarkLoad(b *testing.B, path string, bindings int) {
	before := liveBytes()
	var config *Config
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if config, err = Load(path); err != nil {
			b.Fatal(err)
		}
	}
	if got := config.Networks[0].Registry.Len(); got != bindings {
		b.Fatalf("%d bindings, want %d", got, bindings)
	}
	b.ReportMetric((liveBytes()-before)/float64(bindings), "bytes/binding")
	runtime.KeepAlive(config)
}

func liveBytes() float64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

func writeLargeEthers(b *testing.B, path string, n int) {
	b.Helper()
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	w := bufio.NewWriter(file)
	for i := range n {
		x, y, z := i>>16, i>>8&255, i&255
		fmt.Fprintf(w, "02:00:00:%02x:%02x:%02x 10.%d.%d.%d\n", x, y, z, x, y, z)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
}
