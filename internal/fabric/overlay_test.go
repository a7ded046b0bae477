package fabric_test

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/vishvananda/netlink"
)

var underlay = netip.MustParsePrefix("192.0.2.1/24")

// overlaid returns the configuration of a network with an overlay.
func overlaid(attach string, settings ...string) string {
	return network(attach, append(settings, "overlay: {device: vx10, vni: 10, local: 192.0.2.1}")...) +
		"store: {etcd: {endpoints: [\"http://192.0.2.9:2379\"]}}\n"
}

// buildOverlay makes the stage, and an interface to the other hosts.
func buildOverlay(t *testing.T) *stage {
	t.Helper()
	labtest.NeedProgram(t, "ip")
	s := build(t, onBridge)
	t.Cleanup(func() { lab.DeleteLink("vx10"); lab.DeleteLink("under") })
	labtest.Must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "under"}, PeerName: "under-far"}))
	setUp(t, "under")
	labtest.Must(t, labtest.AddAddress("under", underlay))
	return s
}

// device returns the VXLAN device.
func device(t *testing.T) link.Link {
	t.Helper()
	s, err := link.ReadSnapshot()
	labtest.Must(t, err)
	l, ok := s.Find("vx10")
	if !ok || s.MasterOf("vx10") != bridgeName {
		t.Fatal("vx10 is no member of the bridge")
	}
	return l
}

// expectTunnels waits until frames for these MACs go to these hosts.
func expectTunnels(t *testing.T, want map[registry.MAC]string) {
	t.Helper()
	labtest.Eventually(t, "the tunnels", func() bool {
		tunnels, err := link.ReadTunnels(device(t))
		labtest.Must(t, err)
		same := len(tunnels) == len(want)
		for mac, to := range want {
			same = same && tunnels[link.MAC(mac)].String() == to
		}
		return same
	})
}

// remotes returns db as a guest of another host.
func remotes(revision uint64, tunnel string) map[registry.MAC]fabric.Remote {
	return map[registry.MAC]fabric.Remote{dbMAC: {Host: "other", Tunnel: netip.MustParseAddr(tunnel), Revision: revision}}
}

// TestOverlay says where a guest of another host is, moves it here and away again.
func TestOverlay(t *testing.T) {
	s := buildOverlay(t)
	f := start(t, overlaid(s.attach))
	if l := device(t); l.MTU != 1450 {
		t.Errorf("the MTU of the tunnel is %d, want 1450", l.MTU)
	}
	ctx := context.Background()
	set := func(r map[registry.MAC]fabric.Remote) {
		t.Helper()
		labtest.Must(t, f.SetRemotes(ctx, "lab", r))
	}
	set(remotes(5, "192.0.2.2"))
	expectLocated(t, s.db.MAC, "vx10")
	expectTunnels(t, map[registry.MAC]string{dbMAC: "192.0.2.2"})
	if at, ok := f.Location("lab", dbMAC); !ok || at.From != fabric.FromHost || at.Host != "other" {
		t.Errorf("location of db: %+v", at)
	}

	// db is seen here. What the others said before is wrong until they say something later.
	s.db.ask(t)
	expectLocated(t, s.db.MAC, s.db.Port)
	i := slices.IndexFunc(f.Guests(), func(l fabric.Located) bool { return l.MAC == dbMAC })
	if i < 0 || f.Guests()[i].Overrules != 5 {
		t.Errorf("guests here: %+v", f.Guests())
	}
	set(remotes(5, "192.0.2.2"))
	expectLocated(t, s.db.MAC, s.db.Port)
	set(remotes(6, "192.0.2.3"))
	expectLocated(t, s.db.MAC, "vx10")
	expectTunnels(t, map[registry.MAC]string{dbMAC: "192.0.2.3"})

	// The other host is gone.
	set(map[registry.MAC]fabric.Remote{})
	expectTunnels(t, map[registry.MAC]string{})
	if at, ok := f.Location("lab", dbMAC); ok {
		t.Errorf("db is still behind %s", at.Port)
	}
}

// TestTunnelIsForHosts sends VXLAN to a host with a tunnel. It would take the packets at each of its addresses as from another
// host, and a guest could speak for any other.
func TestTunnelIsForHosts(t *testing.T) {
	s := buildAllowList(t, buildOverlay(t))
	configuration := s.configuration(t, "overlay: {device: vx10, vni: 10, local: 192.0.2.1}", "gateway: 10.239.0.1") +
		"store: {etcd: {endpoints: [\"http://192.0.2.9:2379\"]}}\n"
	start(t, configuration)
	decider := responderOf(t, configuration)
	s.introduce(t, 1_000_000)
	i := 0
	try := func(name string, to *guest, addr netip.Addr, change func(*packet), reason responder.Reason) {
		t.Helper()
		frame := s.toDB().with(func(p *packet) {
			p.to, p.dst, p.udp, p.srcPort, p.dstPort = to.MAC, addr, true, 40000, link.VXLANPort
			change(p)
		})
		expected := sending{name: name, frame: frame, reason: reason, passes: reason == responder.Admitted}
		if expected.passes {
			expected.heard = []*guest{to}
		}
		s.play(t, decider, expected, i)
		i++
	}
	same := func(*packet) {}
	try("to the end of the tunnel", s.host, underlay.Addr(), same, responder.ForeignDestination)
	try("to the host's address on the bridge", s.host, hostAddr.Addr(), same, responder.ForeignDestination)
	try("to another host, which the host would forward", s.host, netip.MustParseAddr("192.0.2.2"), same, responder.ForeignDestination)
	try("the first fragment", s.host, underlay.Addr(), func(p *packet) { p.fragment = 0x2000 }, responder.ForeignDestination)
	try("a later fragment", s.host, underlay.Addr(), func(p *packet) { p.fragment = 1 }, responder.Admitted)
	try("another port", s.host, underlay.Addr(), func(p *packet) { p.dstPort = 4790 }, responder.Admitted)
	try("to a guest", s.db, dbAddr, same, responder.Admitted)
}

// TestOverlaySurvivesRestart expects the tunnels to stay while a fabric that has started again does not know other hosts yet.
func TestOverlaySurvivesRestart(t *testing.T) {
	s := buildOverlay(t)
	f := start(t, overlaid(s.attach))
	labtest.Must(t, f.SetRemotes(context.Background(), "lab", remotes(5, "192.0.2.2")))
	f.stop()
	start(t, overlaid(s.attach))
	expectTunnels(t, map[registry.MAC]string{dbMAC: "192.0.2.2"})
}

// TestOverlayFindings expects what is wrong with the device, and frames that do not fit, to be reported.
func TestOverlayFindings(t *testing.T) {
	s := buildOverlay(t)
	f := start(t, overlaid(s.attach))
	expectFinding(t, f, "the MTU of vnet1 is 1500, but the tunnel to other hosts takes 1450; larger packets are lost: set the MTU of the guests "+
		"and their ports to 1450, or that of under to 1550 and that of vx10 to 1500")
	ip(t, "link", "set", "vx10", "mtu", "1500")
	expectFinding(t, f, "under takes packets of 1500 bytes, too few for the tunnel: ip link set vx10 mtu 1450")
	ip(t, "link", "set", "under", "mtu", "1550")
	ip(t, "link", "set", "vnet1", "mtu", "1400")
	labtest.Eventually(t, "all frames fit", func() bool {
		return !strings.Contains(strings.Join(f.Findings()["lab"], "\n"), "tunnel")
	})
	ip(t, "link", "del", "vx10") // it is made again
	labtest.Eventually(t, "the device is made again", func() bool { _, ok := link.FindVXLAN("vx10"); return ok })
	ip(t, "address", "flush", "dev", "under")
	ip(t, "link", "set", "under", "mtu", "1500") // addresses are not watched
	expectFinding(t, f, "no interface has 192.0.2.1, the address of overlay.local")
	f.stop()
	ip(t, "link", "del", "vx10")
	ip(t, "link", "add", "vx10", "type", "vxlan", "id", "11", "dstport", "4789", "local", "192.0.2.7")
	ip(t, "link", "set", "vx10", "master", bridgeName, "up")
	f = start(t, overlaid(s.attach))
	expectFinding(t, f, "vx10 has the VNI 11 and sends from 192.0.2.7, but the overlay has 10 and 192.0.2.1; delete it, and arpfabric makes it again")
}

// TestKernelForwardsIntoTunnel holds that frames for a guest of another host go straight to the VXLAN device, past the bridge,
// unless the policy says otherwise.
func TestKernelForwardsIntoTunnel(t *testing.T) {
	needKernelDatapath(t)
	for policy, isDirect := range map[string]bool{"auto": true, "bridge": false} {
		t.Run(policy, func(t *testing.T) {
			s := buildOverlay(t)
			ip(t, "link", "set", "under-far", "up")
			ip(t, "neighbor", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "under", "nud", "permanent")
			ip(t, "link", "set", bridgeName, "promisc", "on") // as tcpdump does, so that frames show that cross the bridge
			f := start(t, overlaid(s.attach, "policy: {forward: "+policy+"}"))
			s.app.locate(t, f)
			labtest.Must(t, f.SetRemotes(t.Context(), "lab", remotes(5, "192.0.2.2")))
			onBridge, between := captureOn(t, bridgeName), captureOn(t, "under-far")
			frame := mark(s.app, s.db, 1)
			repeat(t, "the frame arrives at the other host", func() { s.app.Send(frame) }, func() bool {
				return slices.ContainsFunc(between.Frames(), func(f lab.Seen) bool {
					return bytes.HasSuffix(f.Frame, frame) && bytes.Equal(f.Frame[30:34], []byte{192, 0, 2, 2})
				})
			})
			hasCrossed := func() bool {
				return slices.ContainsFunc(onBridge.Frames(), func(f lab.Seen) bool { return bytes.Equal(f.Frame, frame) })
			}
			if !isDirect {
				labtest.Eventually(t, "the frame shows on the bridge", hasCrossed)
			} else if hasCrossed() {
				t.Error("the frame has crossed the bridge")
			}
		})
	}
}

func captureOn(t *testing.T, name string) *lab.Capture {
	t.Helper()
	c, err := lab.StartCapture(name)
	labtest.Must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}
