package importer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGuestPorts joins guests' files with the addresses that another file has.
func TestGuestPorts(t *testing.T) {
	const card = "net0: virtio=02:00:00:00:00:01,bridge=vmbr0"
	tests := map[string]struct {
		files map[string]string
		want  string
	}{
		"joined": {map[string]string{"100.conf": card, "leases": "0 02:00:00:00:00:01 192.0.2.1 * *"},
			`192.0.2.1: {mac: "02:00:00:00:00:01", port: tap100i0}`},
		"no number": {map[string]string{"web": card, "leases": "0 02:00:00:00:00:01 192.0.2.1 * *"},
			`192.0.2.1: "02:00:00:00:00:01"`},
		"clones": {map[string]string{"100.conf": card, "101.conf": card, "leases": "0 02:00:00:00:00:01 192.0.2.1 * *"},
			`101.conf:1: 02:00:00:00:00:01: 100.conf:1 has this MAC too, so no port is bound to it`},
		"a clone's binding": {map[string]string{"100.conf": card, "101.conf": card, "leases": "0 02:00:00:00:00:01 192.0.2.1 * *"},
			`192.0.2.1: "02:00:00:00:00:01" #`},
		"only guests": {map[string]string{"100.conf": card},
			"- 100.conf:1: 02:00:00:00:00:01: no file has its address"},
		"bad MAC": {map[string]string{"100.conf": "net0: virtio=02:00:00:00:00:0g,bridge=vmbr0"},
			`! 100.conf:1: 02:00:00:00:00:0g: "02:00:00:00:00:0g" is not a MAC`},
		"bad address": {map[string]string{"100.conf": card + "\nipconfig0: ip=192.0.2.300/24"},
			`! 100.conf:1: 02:00:00:00:00:01: "192.0.2.300/24" is not an IPv4 address`},
		"bad gateway": {map[string]string{"100.conf": card + "\nipconfig0: ip=192.0.2.1/24,gw=192.0.2.300"},
			`! 100.conf:2: gateway: "192.0.2.300" is not an IPv4 address`},
		"bad gateway of a container": {map[string]string{"100.conf": "net0: name=eth0,bridge=vmbr0,hwaddr=02:00:00:00:00:01,ip=192.0.2.1/24,gw=192.0.2.300"},
			`! 100.conf:1: gateway: "192.0.2.300" is not an IPv4 address`},
		"address without a card": {map[string]string{"100.conf": card + "\nname: web\nipconfig1: ip=192.0.2.2/24\nipconfig0: ip=192.0.2.1/24"},
			`! 100.conf:3: web ipconfig1 192.0.2.2/24: the guest has no card net1`},
		"DHCP without a card": {map[string]string{"100.conf": card + "\nipconfig1: ip=dhcp\nipconfig0: ip=192.0.2.1/24"},
			`- 100.conf:2: ipconfig1 dhcp: the guest has no card net1`},
		"no number, named": {map[string]string{"web": card + "\nipconfig0: ip=192.0.2.1/24"},
			"- web:1: net0 02:00:00:00:00:01: imported without its port, because the name of the file is not the guest's number, as in 100.conf"},
		"no length": {map[string]string{"100.conf": card + "\nipconfig0: ip=192.0.2.30O"},
			`! 100.conf:1: 02:00:00:00:00:01: "192.0.2.30O" is not an IPv4 address`},
		"two VLANs": {map[string]string{"100.conf": card + ",tag=10", "101.conf": "net0: virtio=02:00:00:00:00:02,bridge=vmbr0"},
			"error: 100.conf:1 has VLAN 10 of its bridge, and 101.conf:1 has 0 (0 is none)"},
		"two bridges": {map[string]string{"100.conf": card, "101.conf": "net0: virtio=02:00:00:00:00:02,bridge=vmbr1"},
			"error: 100.conf:1 has bridge vmbr0, and 101.conf:1 has vmbr1: import one at a time, or use --bridge to select one"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for path, text := range tt.files {
				if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			files, err := filepath.Glob("*")
			if err != nil {
				t.Fatal(err)
			}
			written, messages := importText(t, files, "")
			if !strings.Contains(messages+written, tt.want) {
				t.Errorf("got\n%s%s\nwant %s", messages, written, tt.want)
			}
		})
	}
}
