package survey_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/survey"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

func TestMain(m *testing.M) { os.Exit(labtest.RunTests(m)) }

var now = time.Date(2026, 11, 29, 4, 0, 0, 0, time.UTC)

// hostMAC is the MAC of the bridge.
var hostMAC = mac(0)

func mac(n byte) net.HardwareAddr { return net.HardwareAddr{0x02, 0x00, n, 0xde, 0x54, 0xa8} }

// addBridge makes a bridge with an address, and with an uplink.
func addBridge(t *testing.T, name, addr string) {
	t.Helper()
	labtest.Must(t, lab.AddBridge(name))
	t.Cleanup(func() { lab.DeleteLink(name) })
	nic := &netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "vx7"}, VxlanId: 7, Port: 4789}
	labtest.Must(t, netlink.LinkAdd(nic))
	t.Cleanup(func() { lab.DeleteLink("vx7") })
	labtest.Must(t, lab.SetMaster("vx7", name))
	bridge, err := netlink.LinkByName(name)
	labtest.Must(t, err)
	labtest.Must(t, netlink.LinkSetHardwareAddr(bridge, hostMAC))
	if addr != "" {
		labtest.Must(t, labtest.AddAddress(name, netip.MustParsePrefix(addr)))
	}
}

// addGuest makes a guest that speaks to the host if it has an address, and else only to the bridge.
func addGuest(t *testing.T, n byte, name, port, addr string) {
	t.Helper()
	c := lab.GuestConfig{Name: name, Port: port, Bridge: "br0", MAC: mac(n)}
	if addr != "" {
		c.Addr = netip.MustParsePrefix(addr)
	}
	g, err := lab.AddGuest(c)
	labtest.Must(t, err)
	t.Cleanup(func() { g.Delete() })
	capture, err := g.StartCapture()
	labtest.Must(t, err)
	t.Cleanup(func() { capture.Close() })
	sender := netip.MustParseAddr("10.239.0.200")
	if addr != "" {
		sender = c.Addr.Addr()
	}
	labtest.Eventually(t, name+" is in the forwarding database", func() bool {
		labtest.Must(t, capture.Send(lab.Request(g.MAC, sender, netip.MustParseAddr("10.239.0.99")).Frame()))
		return isInFDB(t, g.MAC)
	})
	if addr == "" {
		return
	}
	labtest.Eventually(t, name+" is a neighbour of the host", func() bool {
		labtest.Must(t, capture.Send(lab.Request(g.MAC, c.Addr.Addr(), netip.MustParseAddr("10.239.0.1")).Frame()))
		return isNeighbor(t, c.Addr.Addr())
	})
}

func isInFDB(t *testing.T, mac net.HardwareAddr) bool {
	t.Helper()
	entries, err := link.ReadFDB()
	labtest.Must(t, err)
	for _, e := range entries {
		if e.MAC == link.MAC(mac) {
			return true
		}
	}
	return false
}

func isNeighbor(t *testing.T, addr netip.Addr) bool {
	t.Helper()
	bridge, err := net.InterfaceByName("br0")
	labtest.Must(t, err)
	neighbors, err := link.OpenNeighbors()
	labtest.Must(t, err)
	defer neighbors.Close()
	learned, err := neighbors.Learned(bridge.Index)
	labtest.Must(t, err)
	return learned[addr] != nil
}

// written surveys br0, and returns the configuration. It must be a valid one.
func written(t *testing.T, o survey.Options) string {
	t.Helper()
	o.Bridge, o.Now = "br0", now
	s, err := survey.Of(o)
	labtest.Must(t, err)
	var text strings.Builder
	labtest.Must(t, s.Write(&text))
	if _, err := config.Load(labtest.TempFile(t, "br0.yaml", text.String())); err != nil {
		t.Errorf("%v:\n%s", err, text.String())
	}
	return strings.ReplaceAll(text.String(), o.Root+"/", "/")
}

// TestSurvey surveys a bridge with an uplink, with guests that the host knows, with a guest that only has a lease, with one
// that is known by its MAC alone, and with an address that two MACs use.
func TestSurvey(t *testing.T) {
	addBridge(t, "br0", "10.239.0.1/24")
	labtest.Must(t, os.WriteFile("/proc/sys/net/ipv4/conf/br0/forwarding", []byte("1"), 0))
	addGuest(t, 6, "app", "vnet1", "10.239.0.101/24")
	addGuest(t, 7, "db", "tap100i0", "10.239.0.102/24")
	addGuest(t, 8, "quiet", "quiet0", "")
	addGuest(t, 9, "thief", "thief0", "10.239.0.104/24")
	root := t.TempDir()
	labtest.Must(t, os.MkdirAll(filepath.Join(root, "var/lib/misc"), 0o700))
	labtest.Write(t, filepath.Join(root, "var/lib/misc/dnsmasq.leases"), ""+
		"0 02:00:06:de:54:a8 10.239.0.101 app *\n"+
		"0 02:00:0a:de:54:a8 10.239.0.103 idle *\n"+
		"0 02:00:0b:de:54:a8 10.239.0.104 web *\n"+
		"1 02:00:0c:de:54:a8 10.239.0.105 gone *\n"+ // it has expired
		"0 02:00:0d:de:54:a8 192.168.7.9 other *\n"+ // of another bridge
		"what is this\n")
	want := `# What 'arpfabric init' found at br0 on 2026-11-29.
# Read each line before you use it: a guest that has not spoken is missing, and a guest that used another's
# address is here with it.
# /var/lib/misc/dnsmasq.leases:6: want an expiry time, a MAC, an address and a name, as in 1767225600 02:00:06:de:54:a8 10.239.0.101 web *
networks:
  br0: # the bridge's name; choose another if you like
    mode: classic # a dry run: nothing is answered or dropped; remove this line to begin
    attach:
      bridge: br0
      uplinks: # the members that are neither a TAP nor a veth
        - vx7 # vxlan
    subnet: 10.239.0.0/24 # of the host's own address on the bridge
    gateway: 10.239.0.1 # the host, which forwards IPv4 from br0
    # policy: {unknown_target: uplink} # for a LAN whose hosts are not all listed below
    # sources: # follow the leases as they change; then remove their lines below
    #   - dnsmasq_leases: /var/lib/misc/dnsmasq.leases
    registry:
      10.239.0.1: {mac: "02:00:00:de:54:a8", name: host} # the host's own address on br0
      10.239.0.101: {mac: "02:00:06:de:54:a8", name: app} # neighbour of the host, lease in /var/lib/misc/dnsmasq.leases:1, behind vnet1
      10.239.0.102: {mac: "02:00:07:de:54:a8", port: tap100i0} # neighbour of the host, behind tap100i0
      10.239.0.103: {mac: "02:00:0a:de:54:a8", name: idle} # lease in /var/lib/misc/dnsmasq.leases:2
      # 10.239.0.104: several MACs use this address; write the right one: 02:00:09:de:54:a8 (neighbour of the host), 02:00:0b:de:54:a8 (lease in /var/lib/misc/dnsmasq.leases:3)
      # 02:00:08:de:54:a8 behind quiet0: its address is not known; write ADDRESS: "02:00:08:de:54:a8"
`
	text := written(t, survey.Options{Root: root, Classic: true})
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text = regexp.MustCompile(`(?m)^    # (sources|  -|policy)`).ReplaceAllString(text, "    $1") // as an operator may do
	if _, err := config.Load(labtest.TempFile(t, "br0.yaml", text)); err != nil {
		t.Errorf("with what is suggested: %v:\n%s", err, text)
	}
}

// TestGateway surveys a bridge with the host's own router on it: outside, or a guest.
func TestGateway(t *testing.T) {
	addBridge(t, "br0", "10.239.0.2/24")
	router := netip.MustParseAddr("10.239.0.109")
	labtest.Must(t, netlink.RouteAdd(&netlink.Route{Gw: router.AsSlice()}))
	if text := written(t, survey.Options{Root: t.TempDir()}); strings.Contains(text, "gateway:") ||
		!strings.Contains(text, "# The MAC of the gateway 10.239.0.109 is not known") {
		t.Errorf("the gateway has not spoken:\n%s", text)
	}
	bridge, err := netlink.LinkByName("br0")
	labtest.Must(t, err)
	labtest.Must(t, netlink.NeighSet(&netlink.Neigh{
		LinkIndex: bridge.Attrs().Index, IP: router.AsSlice(), HardwareAddr: mac(9), State: netlink.NUD_STALE, Family: netlink.FAMILY_V4,
	}))
	for _, test := range []struct{ port, want string }{
		{"vx7", `      10.239.0.109: {mac: "02:00:09:de:54:a8", port: vx7} # neighbour of the host, behind vx7`},
		{"router0", `      10.239.0.109: {mac: "02:00:09:de:54:a8", port: router0, routes: [0.0.0.0/0]} # neighbour of the host, behind router0`},
	} {
		t.Run(test.port, func(t *testing.T) {
			if test.port != "vx7" {
				addGuest(t, 8, "router", test.port, "")
			}
			at, err := netlink.LinkByName(test.port)
			labtest.Must(t, err)
			labtest.Must(t, link.WriteFDB(link.FDBEntry{MAC: link.MAC(mac(9)), Port: at.Attrs().Index}, link.FDBEntry{}))
			text := written(t, survey.Options{Root: t.TempDir()})
			for _, want := range []string{"    gateway: 10.239.0.109 # the host's default route leads by it\n", test.want + "\n"} {
				if !strings.Contains(text, want) {
					t.Errorf("want %s\ngot\n%s", want, text)
				}
			}
		})
	}
}

// TestNothingToSurvey checks the errors.
func TestNothingToSurvey(t *testing.T) {
	for _, test := range []struct {
		bridge string
		vlan   uint16
		want   string
	}{
		{"br9", 0, "there is no interface br9; this machine has no bridge"},
		{"lo", 0, "lo is not a bridge; this machine has no bridge"},
	} {
		expectError(t, survey.Options{Bridge: test.bridge, VLAN: test.vlan}, test.want)
	}
	addBridge(t, "br0", "")
	labtest.Must(t, lab.AddBridge("br1"))
	t.Cleanup(func() { lab.DeleteLink("br1") })
	expectError(t, survey.Options{Bridge: "br9"}, "there is no interface br9; there are these bridges: br0, br1")
	expectError(t, survey.Options{Bridge: "vx7"}, "vx7 is not a bridge; it is a member of bridge br0")
	expectError(t, survey.Options{Bridge: "br0", VLAN: 7}, "bridge br0 does not filter VLANs, so there is no VLAN 7 in it; leave --vlan out")
	expectError(t, survey.Options{Bridge: "br0"}, "no address behind br0 is known: the host has neither an address nor neighbours "+
		"there, and no lease was found; learn the addresses from the guests' ARP: tcpdump -i br0 -c 1000 -w br0.pcap arp, and then "+
		"arpfabric replay --learn br0.pcap")
}

func expectError(t *testing.T, o survey.Options, want string) {
	t.Helper()
	o.Root = t.TempDir()
	if _, err := survey.Of(o); err == nil || err.Error() != want {
		t.Errorf("%s:\n got %v\nwant %s", o.Bridge, err, want)
	}
}

// TestVLANs surveys a bridge whose guests are in two VLANs.
func TestVLANs(t *testing.T) {
	labtest.NeedVLANFiltering(t)
	addBridge(t, "br0", "")
	labtest.Must(t, labtest.FilterVLANs("br0", true))
	addGuest(t, 6, "app", "app0", "")
	addGuest(t, 7, "db", "db0", "")
	labtest.Must(t, labtest.LeaveVLAN("app0", 1))
	labtest.Must(t, labtest.JoinVLAN("app0", 10, true))
	labtest.Must(t, labtest.LeaveVLAN("db0", 1))
	labtest.Must(t, labtest.JoinVLAN("db0", 20, true))
	labtest.Must(t, labtest.JoinVLAN("br0", 10, false))
	labtest.Must(t, labtest.AddVLANDevice("br0.10", "br0", 10))
	t.Cleanup(func() { lab.DeleteLink("br0.10") })
	labtest.Must(t, labtest.AddAddress("br0.10", netip.MustParsePrefix("10.239.0.1/24")))
	expectError(t, survey.Options{Bridge: "br0"}, "bridge br0 has guests in several VLANs: 10, 20; each is a network: select one with --vlan")
	expectError(t, survey.Options{Bridge: "br0", VLAN: 7}, "no guest of bridge br0 is in VLAN 7; there are guests in: 10, 20")
	text := written(t, survey.Options{Root: t.TempDir(), VLAN: 10})
	for _, want := range []string{"      vlan: 10 # the PVID of its guests' ports\n", " # the host's own address on br0.10\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("want %s\ngot\n%s", want, text)
		}
	}
}
