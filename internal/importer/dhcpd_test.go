package importer

import (
	"strings"
	"testing"
)

// TestDHCPDKeywords reads keywords in any case, as dhcpd does.
func TestDHCPDKeywords(t *testing.T) {
	const text = `Subnet 192.0.2.0 NETMASK 255.255.255.0 { Option Routers 192.0.2.1; Range 192.0.2.100 192.0.2.200; }
HOST Gate { HARDWARE Ethernet 02:00:00:00:00:01; Fixed-Address 192.0.2.1; OPTION Host-Name "Router"; }
Host b { Hardware ETHERNET 02:00:00:00:00:02; FIXED-ADDRESS 192.0.2.2; }
LEASE 192.0.2.3 { Ends NEVER; Binding STATE ACTIVE; Hardware Ethernet 02:00:00:00:00:03; }
Lease 192.0.2.4 { ends EPOCH 1; binding state active; hardware ethernet 02:00:00:00:00:04; }
`
	const want = `192.0.2.1 02:00:00:00:00:01 stdin:2
192.0.2.2 02:00:00:00:00:02 stdin:3
192.0.2.3 02:00:00:00:00:03 stdin:4
- stdin:1: range 192.0.2.100 192.0.2.200: these addresses have no fixed MAC; dhcpd.leases shows the current ones
- stdin:5: 192.0.2.4: the lease has expired
`
	if got := hostsOfText(t, text); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	found, err := Read([]string{"-"}, Options{Stdin: strings.NewReader(text), Now: now})
	if err != nil || found.Gateway.String() != "192.0.2.1" || found.Bindings[0].Name != "Router" {
		t.Errorf("%v: gateway %s, name %s", err, found.Gateway, found.Bindings[0].Name)
	}
}
