package fabric_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/vishvananda/netlink"
)

// lanRouter is the router of the host, behind vnet9.
var lanRouter = netip.MustParseAddr("10.239.0.109")

const throughRouter = "the host's default route on br0 through 10.239.0.109 leads by %s, a guest port, so the guard would cut the " +
	"host off; write %s under attach.uplinks, or, if a guest is the host's router, `routes: [0.0.0.0/0]` in its binding"

// addDefaultRoute gives the host a default route, until the test ends.
func addDefaultRoute(t *testing.T, router netip.Addr) {
	t.Helper()
	route := &netlink.Route{Gw: router.AsSlice()}
	labtest.Must(t, netlink.RouteAdd(route))
	t.Cleanup(func() { netlink.RouteDel(route) }) // it goes with the bridge
}

// addNIC makes an interface of a kind that leads outside, a member of br0, until the test ends.
func addNIC(t *testing.T, name string) {
	t.Helper()
	nic := &netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: name}, VxlanId: 7, Port: 4789}
	labtest.Must(t, netlink.LinkAdd(nic))
	t.Cleanup(func() { lab.DeleteLink(name) })
	labtest.Must(t, lab.SetMaster(name, bridgeName))
	setUp(t, name)
}

// TestDefaultRouteByAGuestPort starts a fabric on a host whose default route leads by a port that is not listed as an
// uplink. The network waits, and the guests can still talk. It starts once the port is listed.
func TestDefaultRouteByAGuestPort(t *testing.T) {
	s := build(t, onBridge)
	outside := addGuest(t, 9, "outside")
	addDefaultRoute(t, lanRouter)
	labtest.NeedProgram(t, "ping")
	ping(t, lanRouter) // so that the bridge knows where it is
	f := start(t, network(s.attach))
	expectWaiting(t, f, map[string]string{"lab": fmt.Sprintf(throughRouter, outside.Port, outside.Port)})
	ping(t, lanRouter)

	labtest.Must(t, f.Reload(context.Background(), loadConfig(t, network("{bridge: br0, uplinks: [vnet9]}"))))
	expectWaiting(t, f, map[string]string{})
	ping(t, lanRouter)
	s.app.ask(t)

	err := f.Reload(context.Background(), loadConfig(t, network(s.attach)))
	if err == nil || err.Error() != "network lab: "+fmt.Sprintf(throughRouter, outside.Port, outside.Port) {
		t.Errorf("a configuration that cuts the host off is in force: %v", err)
	}
}

// TestDefaultRouteByANIC starts a fabric on a host whose next hop is unknown, with a network card in the bridge.
func TestDefaultRouteByANIC(t *testing.T) {
	const nic = "enp3s0"
	atNIC := fmt.Sprintf(throughRouter, nic, nic)
	const unlisted = "no uplink is a member of br0, and enp3s0 is a guest port, so the guard might cut the host off; " +
		"write enp3s0 under attach.uplinks, or take it out of the bridge"
	router := "      10.239.0.109: {mac: \"02:00:0e:de:54:a8\", routes: [0.0.0.0/0]}\n"
	bound := "      10.239.0.109: \"02:00:0e:de:54:a8\"\n"
	tests := []struct {
		name, configuration string
		hasRoute            bool
		want                string
	}{
		{"not listed", network("{bridge: br0}"), true, atNIC},
		{"under another name", network("{bridge: br0, uplinks: [eth1]}"), true, atNIC},
		{"listed", network("{bridge: br0, uplinks: [enp3s0]}"), true, ""},
		{"a router that is a guest", network("{bridge: br0}") + router, true, ""},
		{"a guest that is no router", network("{bridge: br0}") + bound, true, atNIC},
		{"a guest, and only ARP is guarded", network("{bridge: br0}") + bound + "    policy: {guard: arp}\n", true, ""},
		{"no guard", network("{bridge: br0}", "policy: {guard: none}"), true, ""},
		{"classic", network("{bridge: br0}", "mode: classic"), true, ""},
		{"no default route, not listed", network("{bridge: br0}"), false, ""},
		{"no default route, under another name", network("{bridge: br0, uplinks: [eth1]}"), false, unlisted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			build(t, onBridge)
			addNIC(t, nic)
			if tt.hasRoute {
				addDefaultRoute(t, lanRouter)
			}
			f := start(t, tt.configuration)
			want := map[string]string{}
			if tt.want != "" {
				want["lab"] = tt.want
			}
			expectWaiting(t, f, want)
			isFound := strings.Contains(fmt.Sprint(f.Findings()["lab"]), "cut the host off")
			if isFound != (tt.name == "classic") {
				t.Errorf("findings: %q", f.Findings())
			}
		})
	}
}

// TestUplinkIsRenamed renames an uplink. It remains an uplink, until the configuration no longer names it; the finding says
// what to write.
func TestUplinkIsRenamed(t *testing.T) {
	s := build(t, onBridge)
	outside := addGuest(t, 9, "outside")
	f := start(t, network("{bridge: br0, uplinks: [vnet9]}"))
	labtest.Must(t, netlink.LinkSetDown(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "vnet9"}}))
	labtest.Must(t, netlink.LinkSetName(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "vnet9"}}, "enp3s0"))
	t.Cleanup(func() { lab.DeleteLink("enp3s0") })
	setUp(t, "enp3s0")
	expectFinding(t, f, "the uplink vnet9 has been renamed to enp3s0; write the new name into the configuration, or it will be a guest port at the next start")
	stranger := outside.request(dbAddr)
	stranger.SenderIP = netip.MustParseAddr("10.239.0.250")
	repeat(t, "a host behind the uplink is answered, although it is not registered",
		func() { outside.Send(stranger.Frame()) }, func() bool { return outside.answersFor(dbAddr) > 0 })
	sendMark(t, outside, s.db, 1) // from an address without a binding
	s.expectSilence(t, s.idle)

	f.reload(t, network(s.attach))
	f.expectPort(t, "enp3s0")
	outside.send(t, stranger.Frame())
	f.expectCounts(t, "enp3s0", counts{responder.UnregisteredSender: 1}, "a request by a port that is no uplink any more")
}

func expectFinding(t *testing.T, f *running, want string) {
	t.Helper()
	labtest.Eventually(t, "the finding is there: "+want, func() bool { return strings.Contains(fmt.Sprint(f.Findings()["lab"]), want) })
}
