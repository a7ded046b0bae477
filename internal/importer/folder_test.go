package importer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFolder reads a folder as dnsmasq reads its conf-dir. What is no file with hosts is named, and is no error.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"lab.conf":          "dhcp-host=02:00:00:00:00:01,192.0.2.1\n",
		"lab.conf~":         "dhcp-host=02:00:00:00:00:09,192.0.2.1\n",
		".lab.conf.swp":     "x",
		"README":            "Files in this folder are read by dnsmasq.\n",
		"logo.png":          "\x89PNG\x00\x00",
		"kea-leases4.csv":   keaLeasesHeader + "expire,valid_lifetime\n192.0.2.2,02:00:00:00:00:02,4102444800,3600\n",
		"kea-leases4.csv.2": keaLeasesHeader + "expire,valid_lifetime\n192.0.2.2,02:00:00:00:00:08,4102444800,3600\n",
		"more/x.conf":       "dhcp-host=02:00:00:00:00:07,192.0.2.7\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Read([]string{dir}, Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	want := `192.0.2.1 02:00:00:00:00:01 lab.conf:1
192.0.2.2 02:00:00:00:00:02 kea-leases4.csv:2
- .: .lab.conf.swp: dnsmasq skips files with such names, so it is not read
- .: lab.conf~: dnsmasq skips files with such names, so it is not read
- .: more: a folder in the folder is not read; import it too
- README: unknown format; name it with --format, one of ` + formatList() + `
- logo.png: it is binary, and all formats are text
`
	got := strings.ReplaceAll(strings.ReplaceAll(hostsText(found), dir+"/", ""), dir, ".")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestFileInFolderCanBeWrong holds that a mistake in a file with hosts stays one.
func TestFileInFolderCanBeWrong(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte("02:00:00:00:00:01,192.0.2.300\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := Read([]string{dir}, Options{Now: now})
	if err == nil || found.IsComplete() {
		t.Error(err, found.LeftOut)
	}
}

// TestLookalikes says what a file looks like that is of none of the formats, and what is wanted.
func TestLookalikes(t *testing.T) {
	for text, want := range map[string]string{
		"networks:\n  lab:\n":                                                         "arpfabric's own configuration",
		"NETWORK ID     NAME      DRIVER    SCOPE\n":                                  "want `docker network inspect NETWORK`",
		"127.0.0.1 localhost\n192.0.2.1 web\n":                                        "/etc/hosts",
		"1: lo: <LOOPBACK,UP> mtu 65536\n":                                            "want `ip neigh`",
		`[{"ifindex":1,"ifname":"lo","addr_info":[]}]`:                                "want `ip -j neigh`",
		" Expiry Time           MAC address         Protocol   IP address\n-------\n": "BRIDGE.status",
		" Name      State    Autostart   Persistent\n":                                "virsh net-dumpxml",
		" Interface   Type      Source    Model    MAC\n":                             "virsh dumpxml",
		"+----+------+\n| ID | Name |\n":                                              "openstack port list -f json",
		"\nInterface: 192.0.2.5 --- 0x4\n  Internet Address\n":                        "want `ip neigh`",
		"02:00:00:00:00:01 dev vnet0 master br0 \n":                                   "it looks like `bridge fdb`",
		"[connection]\nid=x\n":                                                        "INI file",
		"":                                                                            "the file is empty",
		"a,192.0.2.1,02:00:00:00:00:01\n":                                             "want a first line such as name,address,mac",
		"{\"Dhcp6\": {}}":                                                             "kea-dhcp4",
	} {
		found, err := Read([]string{"-"}, Options{Stdin: strings.NewReader(text), Now: now})
		if got := fmt.Sprint(found.LeftOut); err == nil || found.IsComplete() || !strings.Contains(got, want) {
			t.Errorf("%q: %v, %s, want %s", text, err, got, want)
		}
	}
}

// TestFormatInDoubt says that a file without hosts looks like one of another format than the given one.
func TestFormatInDoubt(t *testing.T) {
	for text, tt := range map[string]struct {
		given Format
		want  string
	}{
		"02:00:00:00:00:01 192.0.2.1\n": {Kea, "the format given is kea, but it looks like ethers"},
		"<network><name>x</name></network>": {Docker,
			"the format given is docker, but it looks like libvirt; without --format it is detected"},
	} {
		found, err := Read([]string{"-"}, Options{Format: tt.given, Stdin: strings.NewReader(text), Now: now})
		if got := fmt.Sprint(found.LeftOut); err == nil || !strings.Contains(got, tt.want) {
			t.Errorf("%q: %v, %s, want %s", text, err, got, tt.want)
		}
	}
}
