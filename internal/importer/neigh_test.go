package importer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNeighbours reads neighbours on the interfaces that they are on, with and without --bridge.
func TestNeighbours(t *testing.T) {
	const (
		app     = `{"dst":"10.239.0.101","dev":"br0","lladdr":"02:00:06:de:54:a8","state":["REACHABLE"]}`
		router  = `{"dst":"192.0.2.1","dev":"eth0","lladdr":"02:00:00:de:54:a8","state":["STALE"]}`
		failed  = `{"dst":"192.0.2.2","dev":"eth0","state":["FAILED"]}`
		ipv6    = `{"dst":"fe80::1","dev":"eth0","lladdr":"02:00:00:de:54:a8","state":["STALE"]}`
		noDev   = `{"dst":"10.239.0.102","lladdr":"02:00:07:de:54:a8","state":["PERMANENT"]}`
		oddDev  = `{"dst":"10.239.0.103","dev":"_lab","lladdr":"02:00:08:de:54:a8","state":["STALE"]}`
		gotApp  = "on br0: 10.239.0.101 02:00:06:de:54:a8 stdin:1\n"
		noneOf  = "error: no bindings found\n"
		ipv6Out = "- stdin:2: fe80::1: this is an IPv6 address, and ARP is for IPv4\n"
	)
	tests := map[string]struct {
		in     []string
		bridge string
		want   string
	}{
		"one":                {[]string{router}, "", "on eth0: 192.0.2.1 02:00:00:de:54:a8 stdin:1\n"},
		"not said":           {[]string{noDev}, "", "on br0: 10.239.0.102 02:00:07:de:54:a8 stdin:1\n"},
		"not said, and told": {[]string{noDev}, "br7", "on br7: 10.239.0.102 02:00:07:de:54:a8 stdin:1\n"},
		"several": {[]string{app, app, router}, "",
			"error: stdin:1 has bridge br0, and stdin:3 has eth0: import one at a time, or use --bridge to select one\n"},
		"of several one": {[]string{app, router}, "br0", gotApp +
			"- stdin:2: 192.0.2.1 02:00:00:de:54:a8: it is on eth0, not on br0\n"},
		"of several another": {[]string{app, router, failed}, "eth0",
			"on eth0: 192.0.2.1 02:00:00:de:54:a8 stdin:2\n" +
				"- stdin:1: 10.239.0.101 02:00:06:de:54:a8: it is on br0, not on eth0\n" +
				"- stdin:3: 192.0.2.2: no answer to ARP (state FAILED)\n"},
		"of several none": {[]string{app, router}, "br7", noneOf +
			"- stdin:1: 10.239.0.101 02:00:06:de:54:a8: it is on br0, not on br7\n" +
			"- stdin:2: 192.0.2.1 02:00:00:de:54:a8: it is on eth0, not on br7\n"},
		"elsewhere is only IPv6": {[]string{app, ipv6}, "", gotApp + ipv6Out},
		"elsewhere is nobody": {[]string{app, failed}, "", gotApp +
			"- stdin:2: 192.0.2.2: no answer to ARP (state FAILED)\n"},
		"no name for a bridge": {[]string{oddDev}, "", "on br0: 10.239.0.103 02:00:08:de:54:a8 stdin:1\n" +
			"- stdin:1: bridge _lab: arpfabric does not allow this name and uses br0; choose another with --bridge\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := strings.NewReader("[" + strings.Join(tt.in, ",\n") + "]")
			found, err := Read([]string{"-"}, Options{Stdin: in, Bridge: tt.bridge, Now: now})
			if diff := cmp.Diff(tt.want, onBridgeText(found, err)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestNeighboursAndANetwork reads neighbours together with a file whose network --bridge names anew.
func TestNeighboursAndANetwork(t *testing.T) {
	const neigh = `[{"dst":"192.168.122.30","dev":"br0","lladdr":"02:00:06:de:54:a8","state":["STALE"]}]`
	_, err := Read([]string{"testdata/hook/stdin.xml", "-"}, Options{Stdin: strings.NewReader(neigh), Now: now})
	const want = "testdata/hook/stdin.xml:2 has bridge virbr0, and stdin:1 has br0: " +
		"import one at a time, or use --bridge to name both"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// onBridgeText returns the bridge and the hosts on it, or the error, and what is left out.
func onBridgeText(i *Import, err error) string {
	if err != nil {
		return "error: " + err.Error() + "\n" + leftOutText(i)
	}
	return fmt.Sprintf("on %s: %s", i.Bridge, hostsText(i))
}
