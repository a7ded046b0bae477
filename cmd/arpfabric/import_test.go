package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/importer"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

func TestImport(t *testing.T) {
	skipIfShort(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ethers":          "02:00:06:de:54:a8 10.239.0.101\n02:00:07:de:54:a8 fd00::7\n",
		"leases":          "0 02:00:99:de:54:a8 10.239.0.101 app *\n0 02:00:08:de:54:a8 10.239.0.103 web *\n",
		"none":            "# nobody\n",
		"100.conf":        "net0: virtio=02:00:06:de:54:a8,bridge=vmbr0\nipconfig0: ip=10.239.0.101/24\n",
		"conf-dir/hosts":  "02:00:06:de:54:a8,10.239.0.101\n",
		"conf-dir/README": "dnsmasq reads the files in this folder.\n",
	} {
		labtest.Must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		labtest.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	const lab = "networks:\n  lab:\n    attach: {bridge: br0}\n    registry:\n"
	const floor = "networks:\n  floor:\n    attach: {bridge: br1}\n    registry:\n"
	const ipv6 = "ethers:2: fd00::7: this is an IPv6 address, and ARP is for IPv4\n"
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"one", []string{"ethers"}, 0, ipv6 + lab +
			"      10.239.0.101: \"02:00:06:de:54:a8\" # ethers:1\n"},
		{"conflict", []string{"--network", "floor", "--bridge", "br1", "ethers", "leases"}, 1, ipv6 +
			"ethers:1: 10.239.0.101: more than one MAC has this address, so none gets it: " +
			"02:00:06:de:54:a8 (ethers:1), 02:00:99:de:54:a8 (leases:1)\n" + floor +
			"      10.239.0.103: {mac: \"02:00:08:de:54:a8\", name: web} # leases:2\n"},
		{"lines", []string{"--ethers", "--format", "dnsmasq-leases", "leases"}, 0,
			"02:00:99:de:54:a8 10.239.0.101 # app\n02:00:08:de:54:a8 10.239.0.103 # web\n"},
		{"ports in lines", []string{"--ethers", "100.conf"}, 0,
			"arpfabric: a line of ethers(5) has no port and no routes: leave --ethers out to get them\n02:00:06:de:54:a8 10.239.0.101\n"},
		{"folder", []string{"conf-dir"}, 0, "conf-dir/README: unknown format; name it with --format, one of " +
			strings.Join(importer.FormatNames(), ", ") + "\n" + lab + "      10.239.0.101: \"02:00:06:de:54:a8\" # conf-dir/hosts:1\n"},
		{"nothing", []string{"--format=ethers", "none"}, 1, "arpfabric: no bindings found\n"},
		{"no file", nil, 2, "arpfabric: missing argument FILE; see 'arpfabric import --help'\n"},
		{"no such format", []string{"--format=excel", "ethers"}, 2, "arpfabric: unknown format \"excel\"; " +
			"want one of " + strings.Join(importer.FormatNames(), ", ") + "; see 'arpfabric import --help'\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out := runToEnd(t, []string{"env", "-C", dir}, append([]string{"import"}, tt.args...)...)
			if code != tt.code || out != tt.want {
				t.Errorf("exit code %d\n%s\nwant %d\n%s", code, out, tt.code, tt.want)
			}
		})
	}
}

// TestImportLoads checks the configuration that import makes from standard input.
func TestImportLoads(t *testing.T) {
	skipIfShort(t)
	xml, err := filepath.Abs("../../internal/importer/testdata/hook/stdin.xml")
	labtest.Must(t, err)
	script := `"$@" import - <` + xml + ` >$0/lab.yaml && "$@" check $0/lab.yaml`
	code, out := runToEnd(t, []string{"sh", "-c", script, t.TempDir()})
	want := "stdin:19: stranger 52:54:00:a1:00:0f: this guest has no <host mac= ip=/> in the network's XML, " +
		"so there is no binding for it\n" +
		"default: vpc on bridge virbr0, 2 bindings, guard full\n"
	if code != 0 || out != want {
		t.Errorf("exit code %d\n%s\nwant\n%s", code, out, want)
	}
}
