package main

import (
	"go/build"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestImports checks that no package imports a package that it must not depend on: the decision is independent of the
// kernel, the fabric of how a datapath works, the packages below the fabric of each other, and the program of the tests'
// helpers.
func TestImports(t *testing.T) {
	const (
		module  = "github.com/arpfabric/arpfabric/"
		kernel  = "golang.org/x/sys/unix"
		netlink = "github.com/mdlayher/netlink"
		ruleset = "github.com/google/nftables"
	)
	for _, test := range []struct {
		folder    string
		forbidden []string
	}{
		{"responder/registry", []string{module, kernel, "os", "syscall", "time"}},
		{"responder", []string{module + "config", module + "internal", kernel, "os", "syscall", "time"}},
		{"config", []string{module + "internal", kernel, netlink}},
		{"internal/wire", []string{module + "config", module + "responder", module + "internal/link", module + "internal/watch", ruleset}},
		{"internal/wire/mmsg", []string{module, ruleset}},
		{"internal/link", []string{module, ruleset}},
		{"internal/watch", []string{module, ruleset}},
		{"internal/datapath", []string{module + "config", module + "internal/fabric", module + "internal/datapath/", ruleset}},
		{"internal/datapath/nft", []string{module + "config", module + "internal/fabric"}},
		{"internal/datapath/bpf", []string{module + "config", module + "internal/fabric", module + "internal/datapath/nft"}},
		{"internal/page", []string{module + "config", module + "internal/api", module + "internal/fabric", kernel}},
		{"internal/datapath/choice", []string{module + "internal/fabric", module + "internal/daemon"}},
		{"internal/store", []string{module + "config", module + "internal"}},
		{"internal/filewatch", []string{module + "responder", module + "internal", netlink, ruleset}},
		{"internal/importer", []string{module + "internal", module + "config"}},
		{"internal/source", []string{module + "internal/fabric", module + "internal/datapath", module + "internal/api", module + "internal/store", ruleset}},
		{"internal/store/etcd", []string{module + "internal/fabric", module + "internal/daemon", module + "internal/api"}},
		{"internal/transfer", []string{module + "internal/fabric", module + "internal/daemon", module + "internal/api"}},
		{"internal/allocate", []string{module + "internal/fabric", module + "internal/api", kernel, "os", "syscall"}},
		{"internal/cni", []string{module + "internal/fabric", module + "internal/daemon", module + "internal/store"}},
		{"internal/top", []string{module + "internal/fabric", module + "internal/daemon", kernel}},
		{"internal/lab", []string{module + "internal/lab/", "flag", "testing"}},
		{"internal/demo", []string{module + "internal/lab/", "testing"}},
		{"internal/fabric", []string{module + "internal/datapath/", module + "internal/api", module + "internal/metrics", ruleset}},
	} {
		t.Run(test.folder, func(t *testing.T) {
			p, err := build.ImportDir(filepath.Join("../..", test.folder), 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, imported := range p.Imports {
				if slices.ContainsFunc(test.forbidden, func(path string) bool { return isWithin(imported, path) }) {
					t.Errorf("%s imports %s", test.folder, imported)
				}
			}
		})
	}
}

// isWithin reports whether imported is the package at path or below it; if path ends with a slash, only below it.
func isWithin(imported, path string) bool {
	return imported == path || strings.HasPrefix(imported, strings.TrimSuffix(path, "/")+"/")
}
