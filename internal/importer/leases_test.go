package importer

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

const dhcpdLease = "lease 10.239.0.101 {\n  ends 5 2026/01/02 00:00:00;\n  binding state active;\n" +
	"  hardware ethernet 02:00:06:de:54:a8;\n}\n"

// TestReadLeases reads leases as their servers leave them, also while they write.
func TestReadLeases(t *testing.T) {
	const kea = "address,hwaddr,valid_lifetime,expire,hostname,state\n"
	const web = "10.239.0.101 02:00:06:de:54:a8"
	tests := map[string]struct {
		format     Format
		text, want string
	}{
		"dnsmasq": {DnsmasqLeases, "1798761600 02:00:06:de:54:a8 10.239.0.101 web *\n0 02:00:07:de:54:a8 10.239.0.102 * *\n" +
			"1 02:00:08:de:54:a8 10.239.0.103 * *\n", web + " web until 1798761600\n10.239.0.102 02:00:07:de:54:a8 for ever\n"},
		"dnsmasq, the last line torn": {DnsmasqLeases, "1798761600 02:00:06:de:54:a8 10.239.0.101 web *\n1798761600 02:0",
			"error: leases: the last line is not complete: the file is being written, or its file system is full\n"},
		"dnsmasq, a lease of InfiniBand": {DnsmasqLeases, "1798761600 20-00:01 10.239.0.102 ib *\n1798761600 02:00:06:de:54:a8 10.239.0.101 web *\n",
			web + " web until 1798761600\n! leases:1: 10.239.0.102 ib: \"00:01\" is a hardware address of type 20, not of Ethernet\n"},
		"another format": {DnsmasqLeases, "# ISC dhcpd\nlease 10.239.0.101 {\n", "error: leases:2: want an expiry time, a MAC, an address and " +
			"a name, as in 1767225600 02:00:06:de:54:a8 10.239.0.101 web *\n"},
		"empty": {DnsmasqLeases, "", "error: the file is empty\n"},
		"kea": {KeaLeases, kea + "10.239.0.101,02:00:06:de:54:a8,3600,1798761600,web,0\n10.239.0.102,02:00:07:de:54:a8,4294967295,1,db,0\n" +
			"10.239.0.103,02:00:08:de:54:a8,3600,1798761600,,1\n10.239.0.101,02:00:09:de:54:a8,3600,1798761601,,0\n",
			"10.239.0.101 02:00:09:de:54:a8 until 1798761601\n10.239.0.102 02:00:07:de:54:a8 db for ever\n"},
		"kea, no lease":      {KeaLeases, kea, ""},
		"kea, the last torn": {KeaLeases, kea + "10.239.0.101,02:00:06:de:54:a8,3600,1798761600,web,0\n10.239.0.101,02", web + " web until 1798761600\n"},
		"isc":                {DHCPD, dhcpdLease, web + " until 1767312000\n"},
		"isc, given back":    {DHCPD, dhcpdLease + strings.Replace(dhcpdLease, "active", "free", 1), ""},
		"isc, the last torn": {DHCPD, dhcpdLease + "lease 10.239.0.101 {\n  binding sta", web + " until 1767312000\n"},
		"isc, abandoned":     {DHCPD, strings.Replace(dhcpdLease, "active", "abandoned", 1), ""},
		"libvirt": {LibvirtLeases, `[{"ip-address": "10.239.0.101", "mac-address": "02:00:06:de:54:a8", "hostname": "web", ` +
			`"expiry-time": 1798761600}]`, web + " web until 1798761600\n"},
		"libvirt, no lease": {LibvirtLeases, "[\n\n]\n", ""},
		"libvirt, torn":     {LibvirtLeases, `[{"ip-address": "10.2`, "error: leases:1: invalid JSON: unexpected EOF\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			labtest.Write(t, "leases", tt.text)
			leases, leftOut, err := ReadLeases([]string{"leases"}, tt.format, now)
			var got strings.Builder
			for _, l := range leases {
				until := "for ever"
				if !l.Expires.IsZero() {
					until = fmt.Sprintf("until %d", l.Expires.Unix())
				}
				fmt.Fprintln(&got, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s", l.First, l.MAC, l.Name, until)), " "))
			}
			for _, l := range leftOut {
				if !l.Expected && err == nil {
					fmt.Fprintln(&got, "! "+l.String())
				}
			}
			if err != nil {
				fmt.Fprintln(&got, "error: "+err.Error())
			}
			if got.String() != tt.want {
				t.Errorf("got\n%swant\n%s", got.String(), tt.want)
			}
			if isEmpty := errors.Is(err, ErrEmpty); isEmpty != (tt.text == "") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestCurrentKeaLeaseFiles lists the files that hold the leases at each step of kea-lfc(8).
func TestCurrentKeaLeaseFiles(t *testing.T) {
	for there, want := range map[string]string{
		"":                  "leases",
		".2":                "leases.2 leases",
		".1":                "leases.1 leases",
		".2 .1":             "leases.2 leases.1 leases",
		".2 .1 .output":     "leases.2 leases.1 leases",
		".2 .1 .completed":  "leases.completed leases",
		".completed":        "leases.completed leases",
		".2 .pid .garbage.": "leases.2 leases",
	} {
		dir := t.TempDir()
		for _, ending := range strings.Fields(there) {
			labtest.Write(t, filepath.Join(dir, "leases"+ending), "")
		}
		got := strings.ReplaceAll(strings.Join(KeaLeaseFiles(filepath.Join(dir, "leases")), " "), dir+"/", "")
		if got != want {
			t.Errorf("with %q: %s, want %s", there, got, want)
		}
	}
}
