package importer

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// TestDnsmasqOptionMistyped names each option that was meant to be dhcp-host, and no option that dnsmasq has.
func TestDnsmasqOptionMistyped(t *testing.T) {
	const ok = "dhcp-host=02:00:00:00:00:01,192.0.2.1\n"
	for line, want := range map[string]string{
		"dhcp-hosts=02:00:00:00:00:02,192.0.2.2":      "! stdin:2: dhcp-hosts 02:00:00:00:00:02,192.0.2.2: dnsmasq has no option dhcp-hosts: want dhcp-host\n",
		"dhcphost = web, 02:00:00:00:00:02,192.0.2.2": "! stdin:2: dhcphost web, 02:00:00:00:00:02,192.0.2.2: dnsmasq has no option dhcphost: want dhcp-host\n",
		"--dhcp-host=02:00:00:00:00:02,192.0.2.2":     "! stdin:2: --dhcp-host 02:00:00:00:00:02,192.0.2.2: dnsmasq has no option --dhcp-host: want dhcp-host\n",
		"dhcp-hots=02:00:00:00:00:02,192.0.2.300":     "! stdin:2: dhcp-hots 02:00:00:00:00:02,192.0.2.300: dnsmasq has no option dhcp-hots: want dhcp-host\n",
		"dhcp-host 02:00:00:00:00:02,192.0.2.2":       "! stdin:2: want '=' after dhcp-host, in \"dhcp-host 02:00:00:00:00:02,192.0.2.2\"\n",
		"dhcp-host: 02:00:00:00:00:02,192.0.2.2":      "! stdin:2: want '=' after dhcp-host, in \"dhcp-host: 02:00:00:00:00:02,192.0.2.2\"\n",
		"dhcphost 02:00:00:00:00:02,192.0.2.2":        "! stdin:2: want '=' after dhcphost, in \"dhcphost 02:00:00:00:00:02,192.0.2.2\"\n",

		"dhcp-option-force=43,02:00:00:00:00:02,192.0.2.2":     "",
		"dhcp-option=tag:x,224,02:00:00:00:00:02,192.0.2.2":    "",
		"txt-record=example.org,02:00:00:00:00:02,192.0.2.2":   "",
		"host-record=a.example.org,192.0.2.2":                  "",
		"set:red,02:00:00:00:00:01,192.0.2.1":                  "",
		"id:01:02:00:00:00:00:01,02:00:00:00:00:01, 192.0.2.1": "",
	} {
		found, err := Read([]string{"-"}, Options{Format: Dnsmasq, Stdin: strings.NewReader(ok + line + "\n"), Now: now})
		if err != nil || leftOutText(found) != want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", line, err, leftOutText(found), want)
		}
	}
}

// TestDnsmasqOptionsAreAll asks dnsmasq for its options.
func TestDnsmasqOptionsAreAll(t *testing.T) {
	labtest.NeedProgram(t, "dnsmasq")
	help, err := exec.Command("dnsmasq", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`(?m)^(?:-., )?\s*--([A-Za-z0-9-]+)`).FindAllSubmatch(help, -1) {
		if option := string(found[1]); !slices.Contains(allDnsmasqOptions, option) {
			t.Errorf("--%s is missing", option)
		}
	}
}
