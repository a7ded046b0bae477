package fabric_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
)

// keepalived is a configuration of keepalived with unicast peers. On a busy machine both guests may be masters for a moment
// and move the address so often that the fabric no longer follows for some seconds; then it needs a later announcement, for
// which the refresh is there.
const keepalived = `
global_defs {
    vrrp_version 3
}
vrrp_instance service {
    interface eth0
    state BACKUP
    virtual_router_id 51
    priority %d
    advert_int 0.5
    garp_master_refresh 1
    unicast_src_ip %s
    unicast_peer { %s }
    virtual_ipaddress { %s/24 }
    %s
}
`

// A vrrpRouter is a guest that runs keepalived.
type vrrpRouter struct {
	*guest
	conf string
	dir  string
	cmd  *exec.Cmd
}

// vrrp prepares keepalived in a guest, with further settings of its instance. The guest with the higher priority becomes
// the master.
func (g *guest) vrrp(t *testing.T, priority int, peer *guest, more string) *vrrpRouter {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf(keepalived, priority, g.Addr.Addr(), peer.Addr.Addr(), sharedAddr, more)
	labtest.Write(t, filepath.Join(dir, "keepalived.conf"), text)
	return &vrrpRouter{guest: g, conf: filepath.Join(dir, "keepalived.conf"), dir: dir}
}

// start starts keepalived. It is stopped when the test ends.
func (r *vrrpRouter) start(t *testing.T) {
	t.Helper()
	r.cmd = exec.Command("keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp", "--use-file", r.conf,
		"--pid", filepath.Join(r.dir, "pid"), "--vrrp_pid", filepath.Join(r.dir, "vrrp_pid"))
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log := filepath.Join(r.dir, "log")
	out, err := os.Create(log)
	labtest.Must(t, err)
	defer out.Close()
	r.cmd.Stdout, r.cmd.Stderr = out, out
	labtest.Must(t, r.Start(r.cmd))
	cmd := r.cmd
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		if text, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("keepalived in %s said:\n%s", r.Name, text)
		}
	})
}

// terminate stops keepalived, which gives the address up.
func (r *vrrpRouter) terminate(t *testing.T) {
	t.Helper()
	labtest.Must(t, r.cmd.Process.Signal(syscall.SIGTERM))
	r.cmd.Wait()
}

// pingsOfShared counts the pings of the shared address that a guest has received from idle.
func (s *stage) pingsOfShared(g *guest) int {
	n := 0
	for _, frame := range g.received() {
		if id := responder.SenderIdentityOf(frame); id.Target == sharedAddr && id.Sender == s.idle.Addr.Addr() {
			n++
		}
	}
	return n
}

// awaitService waits until a router answers a guest's pings of the shared address.
func (s *stage) awaitService(t *testing.T, by *guest) {
	t.Helper()
	labtest.Eventually(t, by.Name+" answers pings of the shared address", func() bool {
		before := s.pingsOfShared(by)
		out, err := s.idle.Run(t.Context(), "ping", "-c", "1", "-W", "1", sharedAddr.String())
		return err == nil && strings.Contains(out, " 0% packet loss") && s.pingsOfShared(by) > before
	})
}

// expectService checks that a guest's pings of the shared address reach a router, and that the other one hears none of
// them.
func (s *stage) expectService(t *testing.T, by, other *guest) {
	t.Helper()
	s.awaitService(t, by)
	awaitEarlier := func() { sendMark(t, s.idle, other, 2_000_000+len(other.Frames())) } // a number of its own
	awaitEarlier()
	before := s.pingsOfShared(other)
	s.idle.expectSuccess(t, "ping", "-c", "3", "-i", "0.1", "-W", "5", sharedAddr.String())
	awaitEarlier()
	if s.pingsOfShared(other) != before {
		t.Errorf("%s hears what is for %s", other.Name, by.Name)
	}
}

// TestKeepalived has keepalived move an address between two guests: by a shutdown, by a higher priority, and because one
// is cut off. A third guest reaches the address each time.
func TestKeepalived(t *testing.T) {
	labtest.NeedProgram(t, "keepalived", "ping")
	s := buildAllowList(t, build(t, onBridge))
	f := start(t, s.shared(t, appMAC, dbMAC))
	s.introduce(t, 1_000_000)
	first, second := s.app.vrrp(t, 200, s.db, ""), s.db.vrrp(t, 100, s.app, "")
	first.start(t)
	second.start(t)
	s.expectService(t, s.app, s.db)

	first.terminate(t)
	s.expectService(t, s.db, s.app)
	if got := f.holder(); got != dbMAC {
		t.Errorf("%s holds the address, and db serves it", got)
	}
	first.start(t)
	s.expectService(t, s.app, s.db)
	labtest.Must(t, netlink.LinkSetDown(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: s.app.Port}}))
	s.awaitService(t, s.db)
	for _, frame := range append(s.idle.receivedARP(), s.host.receivedARP()...) {
		if id := responder.SenderIdentityOf(frame); id.Sender == sharedAddr && len(frame) != responder.MinFrameLen {
			t.Errorf("an announcement of a router is heard: %s", responder.Describe(frame))
		}
	}
}

// TestKeepalivedWithVMAC has keepalived move an address with its MAC, which is that of the virtual router, by use_vmac. Linux
// sends IPv4 from the address by eth0, with the guest's own MAC, so the guests have a route for it. Without arp_announce it
// would also ask for others from the address, with the wrong MAC.
func TestKeepalivedWithVMAC(t *testing.T) {
	labtest.NeedProgram(t, "keepalived", "ping")
	s := buildAllowList(t, build(t, onBridge))
	vmac := registry.MAC{0, 0, 0x5e, 0, 1, 51}
	configuration := withHost(t, network(s.attach)+fmt.Sprintf("      %s: %q\n", sharedAddr, vmac))
	for _, g := range []*guest{s.app, s.db} {
		routed := fmt.Sprintf("{mac: %q, routes: [%s/32]}", g.MAC, sharedAddr)
		configuration = strings.Replace(configuration, fmt.Sprintf("%q", g.MAC), routed, 1)
		labtest.Must(t, g.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/conf/all/arp_announce", []byte("2"), 0) }))
	}
	f := start(t, configuration)
	s.introduce(t, 1_000_000)
	const useVMAC = "use_vmac vrrp51\n    vmac_xmit_base"
	first, second := s.app.vrrp(t, 200, s.db, useVMAC), s.db.vrrp(t, 100, s.app, useVMAC)
	first.start(t)
	second.start(t)
	s.expectService(t, s.app, s.db)
	first.terminate(t)
	s.expectService(t, s.db, s.app)
	first.start(t)
	s.expectService(t, s.app, s.db)
	if got := f.holder(); got != vmac {
		t.Errorf("the address has the MAC %s", got)
	}
}

// TestMetalLB has two guests announce an address as MetalLB's speakers do in layer 2 mode: by a broadcast gratuitous reply
// and a broadcast gratuitous request, both with the target MAC ff:ff:ff:ff:ff:ff (internal/layer2/arp.go, Gratuitous).
func TestMetalLB(t *testing.T) {
	s := buildAllowList(t, build(t, onBridge))
	f := start(t, s.shared(t, appMAC, dbMAC))
	s.introduce(t, 1_000_000)
	announce := func(g *guest) {
		for _, op := range []arp.Operation{arp.OperationRequest, arp.OperationReply} {
			g.send(t, lab.ARP{
				Destination: ethernet.Broadcast, Source: g.MAC, Operation: op, SenderHardwareAddr: g.MAC, SenderIP: sharedAddr,
				TargetHardwareAddr: net.HardwareAddr(ethernet.Broadcast), TargetIP: sharedAddr,
			}.Frame())
		}
	}
	for i, g := range []*guest{s.app, s.db, s.app} {
		other := map[*guest]*guest{s.app: s.db, s.db: s.app}[g]
		announce(g)
		labtest.Eventually(t, g.Name+" holds the address", func() bool { return f.holder() == registry.MAC(g.MAC) })
		s.expectHolder(t, f, g, other, 100*(i+1))
	}
}
