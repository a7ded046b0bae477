package importer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSelect selects networks by --network and --bridge. Those of one file are never merged.
func TestSelect(t *testing.T) {
	const (
		two    = "testdata/several-in-one/docker.json" // lab_default, other, and an overlay without a bridge
		a      = "testdata/several-networks/a.xml"     // default on virbr0
		b      = "testdata/several-networks/b.xml"     // isolated on virbr7
		ethers = "testdata/conflict/ethers"            // of no network
	)
	labDefault := "lab_default on br-9ea29fc14122, 192.0.2.0/24: 192.0.2.2"
	tests := map[string]struct {
		files           []string
		network, bridge string
		want            string
	}{
		"nothing":          {[]string{two}, "", "", "error: select one with --network"},
		"by network":       {[]string{two}, "lab_default", "", labDefault},
		"by bridge":        {[]string{two}, "", "br-9ea29fc14122", labDefault},
		"by both":          {[]string{two}, "lab_default", "br-9ea29fc14122", labDefault},
		"by one, rename":   {[]string{two}, "mine", "br-9ea29fc14122", "mine on br-9ea29fc14122, 192.0.2.0/24: 192.0.2.2"},
		"other bridge":     {[]string{two}, "lab_default", "br7", "lab_default on br7, 192.0.2.0/24: 192.0.2.2"},
		"overlay":          {[]string{two}, "swarm", "br7", "swarm on br7, 203.0.113.0/24: 203.0.113.2"},
		"never merged":     {[]string{two}, "mine", "br7", "error: none is mine; select one with --network"},
		"none with bridge": {[]string{two}, "", "br7", "error: select one with --network"},
		"two files":        {[]string{a, b}, "", "", "error: import one at a time, or use --network to name both"},
		"one of two files": {[]string{a, b}, "isolated", "", "isolated on virbr7, 10.239.0.0/24: 10.239.0.1 10.239.0.101"},
		"files merged":     {[]string{a, b}, "both", "br7", "both on br7, : 10.239.0.1 10.239.0.101 192.168.122.1 192.168.122.10 192.168.122.11"},
		"with another file": {[]string{b, ethers}, "isolated", "",
			"isolated on virbr7, 10.239.0.0/24: 10.239.0.1 10.239.0.101 10.239.0.102"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			found, err := Read(tt.files, Options{Network: tt.network, Bridge: tt.bridge, Now: now})
			if got := selectedText(found, err); got != tt.want {
				t.Errorf("got  %s\nwant %s\n%s", got, tt.want, leftOutText(found))
			}
		})
	}
}

func selectedText(i *Import, err error) string {
	if err != nil {
		text := err.Error()
		return "error: " + text[strings.LastIndex(text, ": ")+2:]
	}
	text := fmt.Sprintf("%s on %s, ", i.Network, i.Bridge)
	if i.Subnet.IsValid() {
		text += i.Subnet.String()
	}
	text += ":"
	for _, b := range i.Bindings {
		text += " " + b.First.String()
	}
	return text
}

// TestNotSelected names the networks that are not selected, once each, and nothing in them: their mistakes do not matter.
func TestNotSelected(t *testing.T) {
	const text = `[{"Name": "a", "Id": "0123456789ab", "Driver": "bridge", "IPAM": {}, "Containers": {
		"1": {"Name": "x", "MacAddress": "02:00:00:00:00:01", "IPv4Address": "192.0.2.1/24"}}},
		{"Name": "b", "Id": "1123456789ab", "Driver": "bridge", "IPAM": {}, "Containers": {
		"1": {"Name": "y", "MacAddress": "02:00:00:00:00:02", "IPv4Address": "192.0.2.2/24"},
		"2": {"Name": "z", "MacAddress": "bad", "IPv4Address": "192.0.2.3/24"}}}]`
	found, err := Read([]string{"-"}, Options{Stdin: strings.NewReader(text), Network: "a", Now: now})
	if err != nil || !found.IsComplete() {
		t.Error(err)
	}
	const want = "192.0.2.1 02:00:00:00:00:01 stdin:2\n" +
		"- stdin:3: network b: not a, which --network selects (hosts left out: 1)\n"
	if diff := cmp.Diff(want, hostsText(found)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestSelectVLAN imports a guest with cards in two VLANs of a bridge, one at a time.
func TestSelectVLAN(t *testing.T) {
	const guest = "net0: virtio=02:00:00:00:00:01,bridge=vmbr0,tag=10\nnet1: virtio=02:00:00:00:00:02,bridge=vmbr0,tag=20\n" +
		"net2: virtio=02:00:00:00:00:03,bridge=vmbr0\n" +
		"ipconfig0: ip=192.0.2.1/24\nipconfig1: ip=198.51.100.1/24\nipconfig2: ip=203.0.113.1/24\n"
	for vlan, want := range map[string]string{
		"":   "error: select one with --vlan",
		"10": "vlan 10, lab on vmbr0, 192.0.2.0/24: 192.0.2.1",
		"20": "vlan 20, lab on vmbr0, 198.51.100.0/24: 198.51.100.1",
		"0":  "vlan 0, lab on vmbr0, 203.0.113.0/24: 203.0.113.1",
		"30": "error: no file has this VLAN of a bridge",
	} {
		found, err := Read([]string{"-"}, Options{VLAN: vlan, Stdin: strings.NewReader(guest), Now: now})
		got := selectedText(found, err)
		if err == nil {
			got = fmt.Sprintf("vlan %d, %s", found.VLAN, got)
		}
		if got != want || !found.IsComplete() {
			t.Errorf("got  %s\nwant %s\n%s", got, want, leftOutText(found))
		}
		if other := "stdin:2: bridge vmbr0 VLAN 20: not VLAN 10, which --vlan selects (hosts left out: 1)"; vlan == "10" &&
			!strings.Contains(leftOutText(found), other) {
			t.Errorf("got\n%s\nwant %s", leftOutText(found), other)
		}
	}
	for _, vlan := range []string{"4095", "-1", "ten"} {
		if err := (Options{VLAN: vlan}).Check(); err == nil || !strings.HasSuffix(err.Error(), "want 1 to 4094, or 0 for no VLAN") {
			t.Errorf("%s: %v", vlan, err)
		}
	}
}
