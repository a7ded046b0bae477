package fabric_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/loadgen"
	"github.com/vishvananda/netlink"
)

// The stage of the tests. Each guest is a network namespace with one interface:
//
//	   app                  db                   idle
//	   10.239.0.101         10.239.0.102         10.239.0.103
//	   02:00:06:de:54:a8    02:00:07:de:54:a8    02:00:08:de:54:a8
//	   eth0                 eth0                 eth0
//	    |                    |                    |
//	+---+--------------------+--------------------+----------+----------+------+
//	|  vnet1                vnet2                vnet3      arp0     eth1-far  |
//	|                                                                   |      |
//	|  br0, 10.239.0.254                                                |      |
//	+-------------------------------------------------------------------|------+
//	                                                                   eth1
//
// app sends requests, or is hostile. Requests are for db. idle sends nothing, so it must receive nothing. The fabric
// runs in the namespace of br0. It is attached to br0, to its TAP arp0 in br0, or to eth1, which leads to br0. With
// eth1, br0 stands for an external switch, on which guests receive each other's ARP.
func TestMain(m *testing.M) {
	loadgen.RunChild()
	os.Exit(labtest.RunTests(m))
}

// An attachment is one of the ways to attach the fabric to the stage.
type attachment struct {
	name    string
	attach  string // value of `attach` in the configuration
	port    string // port on which the fabric counts app's frames
	guarded bool   // guests are isolated
}

var (
	onBridge    = attachment{"bridge", "{bridge: br0}", "vnet1", true}
	onTAP       = attachment{"tap", "{tap: {name: arp0, bridge: br0}}", "arp0", true}
	onInterface = attachment{"interface", "{interface: eth1}", "eth1", false}
)

var (
	attachments = []attachment{onBridge, onTAP, onInterface}
	guarded     = []attachment{onBridge, onTAP}
)

// each runs a test for each attachment, on a stage of its own.
func each(t *testing.T, attachments []attachment, test func(*testing.T, *stage)) {
	for _, a := range attachments {
		t.Run(a.name, func(t *testing.T) { test(t, build(t, a)) })
	}
}

const bridgeName = "br0"

// hostAddr is the host's address, on br0.
var hostAddr = netip.MustParsePrefix("10.239.0.254/24")

type stage struct {
	attachment
	app, db, idle *guest
}

// build makes the stage, until the test ends.
func build(t *testing.T, a attachment) *stage {
	t.Helper()
	if a == onTAP {
		labtest.NeedTUN(t)
	}
	addBridge(t, bridgeName)
	labtest.Must(t, labtest.AddAddress(bridgeName, hostAddr))
	if a == onInterface {
		plugIn(t)
	}
	return &stage{a, addGuest(t, 1, "app"), addGuest(t, 2, "db"), addGuest(t, 3, "idle")}
}

// plugIn makes eth1, whose peer is a member of br0.
func plugIn(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { lab.DeleteLink("eth1") })
	labtest.Must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth1"}, PeerName: "eth1-far"}))
	labtest.Must(t, lab.SetMaster("eth1-far", bridgeName))
	setUp(t, "eth1-far")
	setUp(t, "eth1")
	for _, end := range []string{"eth1-far", "eth1"} { // until then, the kernel drops frames out of it
		labtest.Eventually(t, end+" is up", func() bool {
			l, err := netlink.LinkByName(end)
			labtest.Must(t, err)
			return l.Attrs().OperState == netlink.OperUp
		})
	}
}

// addBridge makes a bridge, until the test ends. The host and the guests learn neighbours from unsolicited ARP, so that
// their neighbour tables show the ARP that reached them.
func addBridge(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() { lab.DeleteLink(name) })
	quieten(t)
	labtest.Must(t, lab.AddBridge(name))
	labtest.Must(t, setARP(name, "arp_accept", "1"))
}

// quieten turns IPv6 off on interfaces that are made later, because IPv6 sends frames by itself.
func quieten(t *testing.T) {
	t.Helper()
	err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	if !errors.Is(err, os.ErrNotExist) {
		labtest.Must(t, err)
	}
}

// A guest is a network namespace with a capture on its eth0.
type guest struct {
	*lab.Guest
	*lab.Capture
	asked byte // number of addresses that ask has requested
}

// addGuest makes guest number n, a member of br0 on port vnet<n>, until the test ends.
func addGuest(t *testing.T, n byte, name string) *guest {
	t.Helper()
	return addGuestIn(t, bridgeName, n, name)
}

// addGuestIn makes guest number n, a member of a bridge on port vnet<n>, until the test ends.
func addGuestIn(t *testing.T, bridge string, n byte, name string) *guest {
	t.Helper()
	g := addGuestOutside(t, n, name)
	labtest.Must(t, lab.SetMaster(g.Port, bridge))
	return g
}

// addGuestOutside makes guest number n with its port vnet<n> in no bridge, until the test ends.
func addGuestOutside(t *testing.T, n byte, name string) *guest {
	t.Helper()
	return makeGuest(t, lab.GuestConfig{
		Name: name,
		Port: fmt.Sprintf("vnet%d", n),
		MAC:  net.HardwareAddr{0x02, 0x00, 0x05 + n, 0xde, 0x54, 0xa8},
		Addr: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 239, 0, 100 + n}), 24),
	})
}

// makeGuest makes a guest, until the test ends.
func makeGuest(t *testing.T, config lab.GuestConfig) *guest {
	t.Helper()
	inside, err := lab.AddGuest(config)
	labtest.Must(t, err)
	t.Cleanup(func() { inside.Delete() })
	capture, err := inside.StartCapture()
	labtest.Must(t, err)
	t.Cleanup(func() { capture.Close() })
	g := &guest{Guest: inside, Capture: capture}
	g.setARP(t, "arp_accept", "1")
	return g
}

// setARP sets one of the guest's settings for ARP (ip-sysctl.rst in the kernel's documentation).
func (g *guest) setARP(t *testing.T, name, value string) {
	t.Helper()
	labtest.Must(t, g.Do(func() error { return setARP("eth0", name, value) }))
}

func setARP(link, name, value string) error {
	return os.WriteFile("/proc/sys/net/ipv4/conf/"+link+"/"+name, []byte(value), 0)
}

// mustAge fails the test if setNeighbor returned an error. It skips the test if the kernel has no such setting for an
// ordinary user.
func mustAge(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, os.ErrNotExist) {
		labtest.KernelLacks(t, "needs to set how neighbour entries age: %v", err)
	}
	labtest.Must(t, err)
}

// requestOnce keeps the host from repeating a request on its interfaces, for tests that count requests. The kernel repeats
// one after a second, and a busy machine may take longer to answer. An ordinary user may not change that on every kernel.
func requestOnce(t *testing.T, links ...string) {
	t.Helper()
	for _, link := range links {
		if err := setNeighbor(link, "retrans_time_ms", "60000"); !errors.Is(err, os.ErrNotExist) {
			labtest.Must(t, err)
		}
	}
}

// setNeighbor changes a setting for the aging of an interface's neighbour entries (arp(7)).
func setNeighbor(link, name, value string) error {
	return os.WriteFile("/proc/sys/net/ipv4/neigh/"+link+"/"+name, []byte(value), 0)
}
