package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
)

// FuzzLoad takes any bytes for a YAML file. What loads keeps what the types promise, each of its registries
// answers as a search through all of its bindings would, and the schema has nothing against it.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"../examples/*.yaml", "testdata/problems/*/lab.yaml"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	dir := f.TempDir()
	hosts := []byte("2:0:6:de:54:a8 10.239.0.201\n")
	if err := os.WriteFile(filepath.Join(dir, "hosts.ethers"), hosts, 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := (&report{file: filepath.Join(dir, "lab.yaml")}).load(data)
		if err != nil {
			checkProblems(t, err.(Problems))
			return
		}
		if len(config.Networks) == 0 {
			t.Fatal("no networks, and no problem")
		}
		if err := validate(t, data); err != nil {
			t.Fatal(err)
		}
		for i := range config.Networks {
			checkNetwork(t, &config.Networks[i])
		}
	})
}

func checkProblems(t *testing.T, problems Problems) {
	if len(problems) == 0 {
		t.Fatal("an error without problems")
	}
	for _, p := range problems {
		if p.File == "" || p.Message == "" || strings.ContainsAny(p.String(), "\n\r\x00\x1b") {
			t.Fatalf("a problem that can't be shown: %#v", p)
		}
	}
}

func checkNetwork(t *testing.T, n *Network) {
	bindings := slices.Collect(n.Registry.All())
	if len(bindings) == 0 {
		t.Fatal("a registry without bindings")
	}
	if n.Gateway.IsValid() && narrowest(bindings, n.Gateway) == nil {
		t.Fatalf("the gateway %s has no binding", n.Gateway)
	}
	for _, b := range bindings {
		if !b.MAC.IsUnicast() {
			t.Fatalf("%s is no unicast MAC", b.MAC)
		}
		if n.Subnet.IsValid() && checkInSubnet(n.Subnet, b.First, b.Last) != nil {
			t.Fatalf("%s should not be in %s", b, n.Subnet)
		}
		for _, addr := range []netip.Addr{b.First, b.Last, b.First.Prev(), b.Last.Next()} {
			checkLookup(t, n.Registry, bindings, addr)
		}
	}
}

func checkLookup(t *testing.T, registry *responder.Registry, bindings []responder.Binding, addr netip.Addr) {
	want := narrowest(bindings, addr)
	got, ok := registry.Lookup(addr)
	if ok != (want != nil) || ok && got != *want {
		t.Fatalf("%s: got %v %t, want %v", addr, got, ok, want)
	}
}

// narrowest searches all bindings for the one that answers for addr.
func narrowest(bindings []responder.Binding, addr netip.Addr) *responder.Binding {
	var best *responder.Binding
	for i, b := range bindings {
		if addr.Less(b.First) || b.Last.Less(addr) {
			continue
		}
		if best == nil || size(b) < size(*best) {
			best = &bindings[i]
		}
	}
	return best
}

func size(b responder.Binding) int {
	first, last := b.First.As4(), b.Last.As4()
	n := 0
	for i := range first {
		n = n<<8 + int(last[i]) - int(first[i])
	}
	return n
}
