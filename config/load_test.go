package config

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

func TestLoadDefaults(t *testing.T) {
	got := mustLoad(t, `
networks:
  lab:
    attach: {bridge: br0}
    registry: {10.239.0.1: "02:00:00:de:54:a8"}
`)
	want := &Config{
		Path:  "lab.yaml",
		Files: []string{"lab.yaml"},
		Networks: []Network{
			{Name: "lab", Mode: VPC, Attach: Attachment{Bridge: "br0"}, Guard: GuardFull, RateLimit: 10000, OnStop: Release, Inform: true},
		},
		API:   API{Socket: DefaultSocket},
		Log:   Log{Level: slog.LevelInfo, Format: Text},
		Store: Store{Folder: DefaultStore}, Datapath: DatapathAuto,
	}
	diffConfigs(t, want, got)
	diffBindings(t, got.Networks[0].Registry, "lab.yaml:5 10.239.0.1 is-at 02:00:00:de:54:a8")
}

func TestLoadEverything(t *testing.T) {
	t.Chdir(t.TempDir())
	labtest.Write(t, "more.ethers", "2:0:8:de:54:a8 10.239.0.103\n")
	got := mustLoad(t, `
log: {level: warn, format: json}
networks:
  prod:
    mode: classic
    attach: {bridge: br0, uplinks: [eth1, eth2]}
    subnet: 10.239.0.0/24
    gateway: 10.239.0.1
    registry:
      10.239.0.1: 02-00-00-de-54-a8
      10.239.0.101: {mac: 0200.06de.54a8, name: web, port: vnet2}
      10.239.0.128-10.239.0.191: 12:34:56:12:34:56
      10.239.0.160/28: {mac: "02:00:07:de:54:a8", port: vnet2}
    registry_files: [more.ethers]
    policy: {self_probe: drop, unallocated_probe: deny, unknown_target: uplink, sender: any, guard: none, ipv6: pass, rate_limit: off, on_stop: hold}
  free: {attach: {tap: {name: arp0}}, registry: {10.239.0.1: "02:00:00:de:54:a8"}}
  in: {attach: {tap: {name: arp1, bridge: br1}}, registry: {10.239.0.1: "02:00:00:de:54:a8"}}
  out: {attach: {interface: eth0}, registry: {10.239.0.1: "02:00:00:de:54:a8"}}
  side: {attach: {sidecar: eth9}, registry: {10.239.0.1: "02:00:00:de:54:a8"}, policy: {rate_limit: 12}}
  ten: {attach: {bridge: br2, vlan: 10}, registry: {10.239.0.1: "02:00:00:de:54:a8"}}
  twenty: {attach: {bridge: br2, vlan: 20}, registry: {10.239.0.1: "02:00:00:de:54:a8"}}
api: {socket: /run/lab.sock, group: netadmin, writers: netops}
store: {folder: off}
datapath: kernel
metrics: {listen: "127.0.0.1:9642"}
page: {listen: ":9643", token_file: page.token}
`)
	want := &Config{
		Path:  "lab.yaml",
		Files: []string{"lab.yaml", "more.ethers"},
		Networks: []Network{
			{Name: "free", Mode: VPC, Attach: Attachment{Kind: AttachTAP, Device: "arp0"}, Guard: GuardNone, OnStop: Release, Inform: true},
			{Name: "in", Mode: VPC, Attach: Attachment{Kind: AttachTAP, Device: "arp1", Bridge: "br1"}, Guard: GuardFull, RateLimit: 10000, OnStop: Release, Inform: true},
			{Name: "out", Mode: VPC, Attach: Attachment{Kind: AttachInterface, Device: "eth0"}, Guard: GuardNone, OnStop: Release, Inform: true},
			{
				Name:    "prod",
				Mode:    Classic,
				Attach:  Attachment{Bridge: "br0", Uplinks: []string{"eth1", "eth2"}},
				Subnet:  netip.MustParsePrefix("10.239.0.0/24"),
				Gateway: netip.MustParseAddr("10.239.0.1"),
				Policy: responder.Policy{
					Gateway:         netip.MustParseAddr("10.239.0.1"),
					AnySender:       true,
					IgnoreSelfProbe: true,
					PassIPv6:        true,
					DenyMAC:         registry.MAC{0x02, 0x41, 0x52, 0x50, 0x46, 0x42},

					UnknownToUplinks: true,
				},
				Guard:  GuardNone,
				OnStop: Hold,
				Inform: true,
			},
			{Name: "side", Mode: VPC, Attach: Attachment{Kind: AttachSidecar, Device: "eth9"}, Guard: GuardFull, RateLimit: 12, OnStop: Release, Inform: true},
			{Name: "ten", Mode: VPC, Attach: Attachment{Bridge: "br2", VLAN: 10}, Guard: GuardFull, RateLimit: 10000, OnStop: Release, Inform: true},
			{Name: "twenty", Mode: VPC, Attach: Attachment{Bridge: "br2", VLAN: 20}, Guard: GuardFull, RateLimit: 10000, OnStop: Release, Inform: true},
		},
		API:     API{Socket: "/run/lab.sock", Group: "netadmin", Writers: "netops"},
		Metrics: Metrics{Listen: "127.0.0.1:9642"},
		Page:    Page{Listen: ":9643", TokenFile: "page.token"},
		Log:     Log{Level: slog.LevelWarn, Format: JSON},

		Datapath: DatapathKernel,
	}
	diffConfigs(t, want, got)
	diffBindings(t, got.Networks[3].Registry,
		"lab.yaml:10 10.239.0.1 is-at 02:00:00:de:54:a8",
		"lab.yaml:11 10.239.0.101 is-at 02:00:06:de:54:a8 name=web port=vnet2",
		"more.ethers:1 10.239.0.103 is-at 02:00:08:de:54:a8",
		"lab.yaml:12 10.239.0.128-10.239.0.191 is-at 12:34:56:12:34:56",
		"lab.yaml:13 10.239.0.160-10.239.0.175 is-at 02:00:07:de:54:a8 port=vnet2",
	)
}

// TestLoadGood loads configurations that look odd but are valid.
func TestLoadGood(t *testing.T) {
	tests := []struct{ name, network string }{
		{"a /31 has neither network nor broadcast address (RFC 3021)",
			`{attach: {bridge: br0}, subnet: 10.0.0.0/31, registry: {10.0.0.0: MAC1, 10.0.0.1: MAC2}}`},
		{"a prefix that is a whole /31",
			`{attach: {bridge: br0}, subnet: 10.0.0.0/31, registry: {10.0.0.0/31: MAC1}}`},
		{"a /32",
			`{attach: {bridge: br0}, subnet: 10.0.0.7/32, registry: {10.0.0.7: MAC1}}`},
		{"the first and last host",
			`{attach: {bridge: br0}, subnet: 10.0.0.0/24, registry: {10.0.0.1-10.0.0.254: MAC1}}`},
		{"a gateway in a range",
			`{attach: {bridge: br0}, gateway: 10.0.0.9, registry: {10.0.0.0/24: MAC1}}`},
		{"nested ranges",
			`{attach: {bridge: br0}, registry: {10.0.0.0/16: MAC1, 10.0.0.0/24: MAC2, 10.0.0.0: MAC3}}`},
		{"one port of many bindings",
			`{attach: {bridge: br0}, registry: {10.0.0.1: {mac: MAC1, port: p}, 10.0.0.2: {mac: MAC1, port: p}}}`},
		{"a policy with all keys commented out",
			"\n    attach: {bridge: br0}\n    registry: {10.0.0.1: MAC1}\n    policy:\n      # sender: any"},
		{"JSON, which is YAML",
			`{"attach": {"bridge": "br0"}, "registry": {"10.0.0.1": MAC1}}`},
		{"a 15-byte name, and one of digits",
			`{attach: {bridge: fifteen-bytes-x, uplinks: [0]}, registry: {10.0.0.1: MAC1}}`},
	}
	macs := strings.NewReplacer(
		"MAC1", `"02:00:00:00:00:01"`,
		"MAC2", `"02:00:00:00:00:02"`,
		"MAC3", `"02:00:00:00:00:03"`,
	)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mustLoad(t, "networks:\n  lab: "+macs.Replace(test.network)+"\n")
		})
	}
}

// TestLoadBadFile tests files that are no configurations.
func TestLoadBadFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := syscall.Mkfifo("fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	const good = "networks: {lab: {attach: {bridge: br0}, registry: {10.0.0.1: '02:00:00:00:00:01'}}}\n"
	files := map[string]string{
		"latin1":    good + "# caf\xe9\n",
		"utf16":     "\xff\xfen\x00e\x00t\x00",
		"control":   good + "\n# half-written:\x00\x00\x00\n",
		"delete":    "networks: \x7f\n",
		"flow":      strings.Repeat("[", 20_000),
		"block":     strings.Repeat("- ", 20_000),
		"notclosed": "networks: '\n",
		"huge":      strings.Repeat("#", maxYAML+1),
	}
	for name, content := range files {
		labtest.Write(t, name, content)
	}
	tests := []struct{ path, want string }{
		{"missing", "missing: cannot read the file: no such file or directory"},
		{".", ".: a directory, not a file"},
		{"fifo", "fifo: not a regular file, but a pipe, a socket or a device"},
		{"/dev/zero", "/dev/zero: not a regular file, but a pipe, a socket or a device"},
		{"latin1", "latin1:2: not UTF-8 text"},
		{"utf16", "utf16:1: not UTF-8 text"},
		{"control", "control:3: control character U+0000 in this line"},
		{"delete", "delete:1: control character U+007F in this line"},
		{"flow", "flow:1: invalid YAML at or below this line: exceeded max depth of 10000"},
		{"block", "block:1: invalid YAML at or below this line: exceeded max depth of 10000"},
		{"notclosed", `notclosed:1: invalid YAML: the quote before "" is not closed in this line`},
		{"huge", "huge: the file is larger than 16 MiB: put the registry into ethers files, " +
			"and name them under registry_files"},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			if diff := cmp.Diff([]string{test.want}, problemsOf(test.path)); diff != "" {
				t.Errorf("problems (-want +got)\n%s", diff)
			}
		})
	}
}

func TestLoadReturnsProblems(t *testing.T) {
	_, err := Load("testdata/problems/overlap/lab.yaml")
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got a %T, want Problems", err)
	}
	want := Problem{
		File: "testdata/problems/overlap/lab.yaml",
		Line: 8,
		Path: "networks.lab.registry.10.239.0.40-10.239.0.55",
		Message: "overlaps 10.239.0.32-10.239.0.47, which is of the same size, so neither wins " +
			"(see testdata/problems/overlap/lab.yaml:7)",
	}
	if problems[0] != want {
		t.Errorf("got  %+v\nwant %+v", problems[0], want)
	}
}

// TestLoadNamesFilesOfAFailure expects Path and Files, and nothing else of the configuration, if there are problems.
func TestLoadNamesFilesOfAFailure(t *testing.T) {
	t.Chdir(t.TempDir())
	const yaml = "networks: {lab: {attach: {bridge: br0}, registry_files: [bad.ethers, sub/missing.ethers], registry: {%s}}}\n"
	labtest.Write(t, "bad.ethers", "not a MAC\n")
	labtest.Write(t, "files.yaml", fmt.Sprintf(yaml, ""))
	labtest.Write(t, "more.yaml", fmt.Sprintf(yaml, "10.0.0.1: nonsense"))
	labtest.Write(t, "broken.yaml", "networks: {lab:")
	for path, want := range map[string][]string{
		"files.yaml":   {"files.yaml", "bad.ethers", "sub/missing.ethers"},
		"more.yaml":    {"more.yaml", "bad.ethers", "sub/missing.ethers"},
		"broken.yaml":  {"broken.yaml"},
		"missing.yaml": {"missing.yaml"},
	} {
		got, err := Load(path)
		if err == nil {
			t.Errorf("%s has no problem", path)
		}
		if diff := cmp.Diff(&Config{Path: path, Files: want, Digest: Digest(want)}, got); diff != "" {
			t.Errorf("%s: config (-want +got)\n%s", path, diff)
		}
	}
}

// TestDigest changes one file after the other, and changes it back.
func TestDigest(t *testing.T) {
	t.Chdir(t.TempDir())
	const (
		yaml   = "networks: {lab: {attach: {bridge: br0}, registry_files: [more.ethers]}}\n"
		ethers = "2:0:8:de:54:a8 10.239.0.103\n"
	)
	labtest.Write(t, "lab.yaml", yaml)
	labtest.Write(t, "more.ethers", ethers)
	config, err := Load("lab.yaml")
	if err != nil {
		t.Fatal(err)
	}
	expectSame := func(want bool, when string) {
		t.Helper()
		if got := Digest(config.Files) == config.Digest; got != want {
			t.Errorf("%s: the digest is unchanged: %t", when, got)
		}
	}
	expectSame(true, "at first")
	for file, text := range map[string]string{"lab.yaml": yaml, "more.ethers": ethers} {
		labtest.Write(t, file, strings.Replace(text, "e", "E", 1))
		expectSame(false, file+" has changed")
		os.Remove(file)
		expectSame(false, file+" is gone")
		labtest.Write(t, file, text)
		expectSame(true, file+" is as it was")
	}
}

// TestLoadLargeRegistry would take minutes if each key were compared with every other.
func TestLoadLargeRegistry(t *testing.T) {
	const bindings = 40_000
	config := mustLoad(t, string(largeYAML(bindings)))
	if got := config.Networks[0].Registry.Len(); got != bindings {
		t.Fatalf("%d bindings, want %d", got, bindings)
	}
	got, ok := config.Networks[0].Registry.Lookup(netip.MustParseAddr("10.0.156.63"))
	if want := "lab.yaml:40004 10.0.156.63 is-at 02:00:00:00:9c:3f"; !ok || describe(got) != want {
		t.Errorf("the last binding is %q, want %q", describe(got), want)
	}
}

// largeYAML returns a configuration with n bindings of neighbouring addresses from 10.0.0.0.
func largeYAML(n int) []byte {
	var b bytes.Buffer
	b.WriteString("networks:\n  lab:\n    attach: {bridge: br0}\n    registry:\n")
	for i := range n {
		x, y, z := i>>16, i>>8&255, i&255
		fmt.Fprintf(&b, "      10.%d.%d.%d: \"02:00:00:%02x:%02x:%02x\"\n", x, y, z, x, y, z)
	}
	return b.Bytes()
}

func TestExamples(t *testing.T) {
	inContainers, err := filepath.Glob("../examples/*/arpfabric/*.yaml")
	if err != nil || len(inContainers) < 4 {
		t.Fatalf("%d examples in containers (%v)", len(inContainers), err)
	}
	for _, path := range append(examples(t), inContainers...) {
		if _, err := Load(path); err != nil {
			t.Error(err)
		}
	}
}

// examples returns the paths of the reference and of the configurations in the folder examples.
func examples(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(paths) < 6 {
		t.Fatalf("%d examples (%v)", len(paths), err)
	}
	return append(paths, "reference.yaml")
}

func mustLoad(t *testing.T, yaml string) *Config {
	t.Helper()
	config, err := (&report{file: "lab.yaml", read: []string{"lab.yaml"}}).load([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// diffConfigs compares two configurations except for their registries and origins. It expects a registry in each network.
func diffConfigs(t *testing.T, want, got *Config) {
	t.Helper()
	without := *got
	without.Digest = [sha256.Size]byte{} // see TestDigest
	without.Networks = slices.Clone(got.Networks)
	for i := range without.Networks {
		if without.Networks[i].Registry == nil {
			t.Errorf("network %s has no registry", without.Networks[i].Name)
		}
		without.Networks[i].Registry = nil
		without.Networks[i].Allocation = Allocation{}                                          // see TestAllocation
		without.Networks[i].Origin, without.Networks[i].PolicyOrigins = registry.Origin{}, nil // see TestLoadOrigins
	}
	if diff := cmp.Diff(want, &without, cmp.Comparer(sameAddr), cmp.Comparer(samePrefix)); diff != "" {
		t.Errorf("config (-want +got)\n%s", diff)
	}
}

// TestLoadOrigins expects the line of each network and of each written key of its policy.
func TestLoadOrigins(t *testing.T) {
	got := mustLoad(t, `networks:
  b:
    attach: {bridge: br0}
    registry: {10.239.0.1: "02:00:00:de:54:a8"}
    policy:
      sender: any
      # guard: arp
      rate_limit: off
  a: {attach: {interface: eth0}, registry: {10.239.0.1: "02:00:00:de:54:a8"}}
`)
	line := func(n int) registry.Origin { return registry.Origin{Source: "lab.yaml", Line: n} }
	want := map[string]registry.Origin{"a": line(9), "b": line(2), "b sender": line(6), "b rate_limit": line(8)}
	origins := map[string]registry.Origin{}
	for _, n := range got.Networks {
		origins[n.Name] = n.Origin
		for key, origin := range n.PolicyOrigins {
			origins[n.Name+" "+key] = origin
		}
	}
	if diff := cmp.Diff(want, origins); diff != "" {
		t.Errorf("origins (-want +got)\n%s", diff)
	}
}

func sameAddr(a, b netip.Addr) bool     { return a == b }
func samePrefix(a, b netip.Prefix) bool { return a == b }

func diffBindings(t *testing.T, registry *registry.Registry, want ...string) {
	t.Helper()
	var got []string
	for binding := range registry.All() {
		got = append(got, describe(binding))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bindings (-want +got)\n%s", diff)
	}
}

func describe(b registry.Binding) string {
	text := b.Origin.String() + " " + b.String()
	if b.Name != "" {
		text += " name=" + b.Name
	}
	if b.Port != "" {
		text += " port=" + b.Port
	}
	return text
}

// TestRegistryDir loads a folder of registry files, in order, with names that a hosts file resolves. The folder is among the
// files, and its digest tells when a file is added.
func TestRegistryDir(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		labtest.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		labtest.Write(t, path, text)
	}
	write("lab.yaml", "networks:\n  lab:\n    attach: {bridge: br0}\n    registry_dir: conf.d\n    hosts_files: [hosts]\n")
	write("hosts", "127.0.1.1 Web\n10.239.0.101 Web web.lab.example\n")
	write("conf.d/20", "02:00:06:de:54:a8 web\n")
	write("conf.d/10", "02:00:07:de:54:a8 10.239.0.102\n")
	write("conf.d/.hidden", "nonsense\n")
	c, err := Load(filepath.Join(dir, "lab.yaml"))
	labtest.Must(t, err)
	var got []string
	for b := range c.Networks[0].Registry.All() {
		got = append(got, strings.ReplaceAll(fmt.Sprintf("%s %q %s", b, b.Name, b.Origin), dir+"/", ""))
	}
	for _, file := range c.Files {
		got = append(got, strings.TrimPrefix(file, dir+"/"))
	}
	want := []string{
		`10.239.0.101 is-at 02:00:06:de:54:a8 "web" conf.d/20:1`, `10.239.0.102 is-at 02:00:07:de:54:a8 "" conf.d/10:1`,
		"lab.yaml", "hosts", "conf.d", "conf.d/10", "conf.d/20",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if Digest(c.Files) != c.Digest {
		t.Error("the digest differs, and nothing has changed")
	}
	write("conf.d/.hidden", "more nonsense\n")
	if Digest(c.Files) != c.Digest {
		t.Error("the digest differs by a hidden file")
	}
	write("conf.d/30", "")
	if Digest(c.Files) == c.Digest {
		t.Error("the digest is the same with one more file")
	}
}
