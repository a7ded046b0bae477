package importer

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
)

func FuzzEthers(f *testing.F)        { fuzz(f, Ethers) }
func FuzzDnsmasq(f *testing.F)       { fuzz(f, Dnsmasq) }
func FuzzDnsmasqLeases(f *testing.F) { fuzz(f, DnsmasqLeases) }
func FuzzKea(f *testing.F)           { fuzz(f, Kea) }
func FuzzKeaLeases(f *testing.F)     { fuzz(f, KeaLeases) }
func FuzzDHCPD(f *testing.F)         { fuzz(f, DHCPD) }
func FuzzOpenWrt(f *testing.F)       { fuzz(f, OpenWrt) }
func FuzzCSV(f *testing.F)           { fuzz(f, CSV) }
func FuzzProxmox(f *testing.F)       { fuzz(f, Proxmox) }
func FuzzLibvirt(f *testing.F)       { fuzz(f, Libvirt) }
func FuzzLibvirtLeases(f *testing.F) { fuzz(f, LibvirtLeases) }
func FuzzDocker(f *testing.F)        { fuzz(f, Docker) }
func FuzzPodman(f *testing.F)        { fuzz(f, Podman) }
func FuzzOpenStack(f *testing.F)     { fuzz(f, OpenStack) }
func FuzzNeigh(f *testing.F)         { fuzz(f, Neigh) }
func FuzzAnyFormat(f *testing.F)     { fuzz(f, "") }

// fuzz takes any bytes for a file of a format. What comes out is a configuration that loads, with the
// same bindings, and lines for registry_files that do; what is left out can be shown.
func fuzz(f *testing.F, format Format) {
	for _, path := range seeds(f) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := Read([]string{"-"}, Options{Format: format, Stdin: bytes.NewReader(data), Now: now})
		checkMessages(t, found)
		if err == nil {
			checkWritten(t, dir, found)
		}
	})
}

func seeds(f *testing.F) []string {
	paths, err := filepath.Glob("testdata/*/*")
	if err != nil || len(paths) == 0 {
		f.Fatalf("nothing in testdata (%v)", err)
	}
	var files []string
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			files = append(files, path)
		}
	}
	return files
}

func checkMessages(t *testing.T, found *Import) {
	for _, left := range found.LeftOut {
		if left.Source != "stdin" || left.Why == "" || strings.ContainsFunc(left.String(), notPrintable) {
			t.Fatalf("a message that can't be shown: %#v", left)
		}
	}
}

func notPrintable(c rune) bool { return !strconv.IsPrint(c) }

func checkWritten(t *testing.T, dir string, found *Import) {
	path := filepath.Join(dir, "lab.yaml")
	if err := os.WriteFile(path, []byte(yamlOf(t, found)), 0o600); err != nil {
		t.Fatal(err)
	}
	network := mustLoad(t, path)
	if network.Name != found.Network || network.Attach.Bridge != found.Bridge || network.Subnet != found.Subnet ||
		network.Gateway != found.Gateway || network.Registry.Len() != len(found.Bindings) {
		t.Fatalf("wrote %+v, read %+v", found, network)
	}
	for _, b := range found.Bindings {
		if got, ok := network.Registry.Lookup(b.First); !ok || got.MAC != b.MAC || got.Name != b.Name ||
			got.Port != b.Port || got.Routes != b.Routes {
			t.Fatalf("wrote %+v, read %+v", b, got)
		}
	}
	checkEthers(t, dir, found)
}

// checkEthers loads the bindings from a registry file.
func checkEthers(t *testing.T, dir string, found *Import) {
	ethers := ethersOf(t, found)
	const yaml = "networks:\n  lab:\n    attach: {bridge: br0}\n    registry_files: [lab.ethers]\n"
	for name, text := range map[string]string{"lab.ethers": ethers, "files.yaml": yaml} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(dir, "files.yaml"))
	if err != nil || c.Networks[0].Registry.Len() != len(found.Bindings) {
		t.Fatalf("%v\n%s", err, ethers)
	}
}
