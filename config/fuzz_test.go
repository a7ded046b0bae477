package config

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// FuzzLoad loads any bytes as a YAML file. A configuration that loads must keep the promises of its types, its registries
// must agree with a linear search, and the schema must accept it.
func FuzzLoad(f *testing.F) {
	problems, _ := filepath.Glob("testdata/problems/*/lab.yaml")
	for _, path := range append(examples(f), problems...) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
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
			if n := &config.Networks[i]; n.Registry.Len() == 0 && !bytes.Contains(data, []byte("allow_empty")) {
				t.Fatal("a registry without bindings")
			}
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
			t.Fatalf("a problem that cannot be printed: %#v", p)
		}
	}
}

func checkNetwork(t *testing.T, n *Network) {
	bindings := slices.Collect(n.Registry.All())
	if n.Gateway.IsValid() && narrowest(bindings, n.Gateway) == nil {
		t.Fatalf("the gateway %s has no binding", n.Gateway)
	}
	for _, b := range bindings {
		if !b.MAC.IsUnicast() {
			t.Fatalf("%s is not a unicast MAC", b.MAC)
		}
		if n.Subnet.IsValid() && checkInSubnet(n.Subnet, b.First, b.Last) != nil {
			t.Fatalf("%s should not be in %s", b, n.Subnet)
		}
		for _, addr := range []netip.Addr{b.First, b.Last, b.First.Prev(), b.Last.Next()} {
			checkLookup(t, n.Registry, bindings, addr)
		}
	}
}

func checkLookup(t *testing.T, registry *registry.Registry, bindings []registry.Binding, addr netip.Addr) {
	want := narrowest(bindings, addr)
	got, ok := registry.Lookup(addr)
	if ok != (want != nil) || ok && got != *want {
		t.Fatalf("%s: got %v %t, want %v", addr, got, ok, want)
	}
}

// narrowest searches all bindings for the narrowest one that has addr.
func narrowest(bindings []registry.Binding, addr netip.Addr) *registry.Binding {
	var best *registry.Binding
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

func size(b registry.Binding) int {
	first, last := b.First.As4(), b.Last.As4()
	n := 0
	for i := range first {
		n = n<<8 + int(last[i]) - int(first[i])
	}
	return n
}
