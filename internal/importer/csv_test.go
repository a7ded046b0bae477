package importer

import (
	"strings"
	"testing"
)

// TestColumns finds the address, the MAC and the name in tables with the columns that programs write, in any order.
func TestColumns(t *testing.T) {
	const want = "192.0.2.1 02:00:00:00:00:01 stdin:2\n"
	for _, text := range []string{
		"name,ip_address,mac_address\na,192.0.2.1,02:00:00:00:00:01\n",
		"MAC Address;IP Address\n02-00-00-00-00-01;192.0.2.1/24\n",
		"\"ip_addr\",\"hostname\",\"mac\"\n\"192.0.2.1\",\"a\",\"0200.0000.0001\"\n",
		"Address\tHWaddr\n192.0.2.1\t020000000001\n",
		"IPv4 | MAC-Addr | Owner\n192.0.2.1 | 02:00:00:00:00:01 | me\n",
		"id,address,status,cf_mac_address,,\n7,192.0.2.1/32,active,2:0:0:0:0:1\n",
		"Primary MAC address,Virtual Machine,IP Addresses\n02:00:00:00:00:01,a,192.0.2.1/24\n",
		"IPAddress,ScopeId,ClientId,HostName\n192.0.2.1,192.0.2.0,02-00-00-00-00-01,a\n",
		"lladdr, ip\n 02:00:00:00:00:01 , 192.0.2.1 \n",
	} {
		if got := hostsOfText(t, text); got != want {
			t.Errorf("%s\ngot %s", text, got)
		}
	}
}

// TestUnusedColumns names each column with addresses or MACs that are not imported, once.
func TestUnusedColumns(t *testing.T) {
	for text, want := range map[string]string{
		"ip,mac,ip2\n192.0.2.1,02:00:00:00:00:01,\n192.0.2.2,02:00:00:00:00:02,192.0.2.12\n192.0.2.3,02:00:00:00:00:03,192.0.2.13\n": `! stdin:3: 192.0.2.12: this column, "ip2", is not imported, because column "ip" has the addresses: write a row for each pair
`,
		"MAC,IP,MAC Address 2\n02:00:00:00:00:01,192.0.2.1,02-00-00-00-00-02\n": `! stdin:2: 02-00-00-00-00-02: this column, "MAC Address 2", is not imported, because column "MAC" has the MACs: write a row for each pair
`,
		"IP,MAC,IP\n192.0.2.1,02:00:00:00:00:01,192.0.2.2/24\n": `! stdin:2: 192.0.2.2/24: this column, "IP", is not imported, because column "IP" has the addresses: write a row for each pair
`,
		"IP Address,MAC,Secondary IP\n192.0.2.1,02:00:00:00:00:01,\"192.0.2.2, 192.0.2.3\"\n": `- stdin:2: 192.0.2.2, 192.0.2.3: this column, "Secondary IP", is not imported, because column "IP Address" has the addresses: write a row for each pair
`,
		"IP Addresses,MAC,Primary IPv4\n\"192.0.2.1/24,192.0.2.2/24\",02:00:00:00:00:01,192.0.2.2\n":             "",
		"mac,hwaddr,ip,ip6\n02:00:00:00:00:01,02-00-00-00-00-01,192.0.2.1,2001:db8::1\n":                         "",
		"IPAddress,ScopeId,ClientId,Description\n192.0.2.1,192.0.2.0,02-00-00-00-00-01,not 192.0.2.9 any more\n": "",
		"ip,mac,ip subnet,ip gateway,clientid\n192.0.2.1,02:00:00:00:00:01,192.0.2.0/24,,01:02:00:00:00:00:01\n": "",
	} {
		found, err := Read([]string{"-"}, Options{Stdin: strings.NewReader(text), Now: now})
		if err != nil || leftOutText(found) != want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", text, err, leftOutText(found), want)
		}
	}
}
