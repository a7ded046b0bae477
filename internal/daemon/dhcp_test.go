package daemon_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/daemon"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/vishvananda/netlink"
)

// A dhcpLab is a bridge with a DHCP server on the host, guests that are in no file, and a fabric that follows the leases:
//
//	host 10.239.0.1, dnsmasq ── br0 ──┬── vnet1 ── web
//	                                  └── vnet2 ── db
type dhcpLab struct {
	t      *testing.T
	dir    string
	client *api.Client
	web    *lab.Guest
	db     *lab.Guest
	echo   *echoServer
}

var dhcpServer = netip.MustParseAddr("10.239.0.1")

func newDHCPLab(t *testing.T) *dhcpLab {
	t.Helper()
	labtest.NeedProgram(t, "dnsmasq", "udhcpc")
	l := &dhcpLab{t: t, dir: t.TempDir()}
	labtest.Must(t, lab.AddBridge("br0"))
	t.Cleanup(func() { lab.DeleteLink("br0") })
	labtest.Must(t, labtest.AddAddress("br0", netip.PrefixFrom(dhcpServer, 24)))
	l.web, l.db = l.addGuest("web", "vnet1", 6), l.addGuest("db", "vnet2", 7)
	l.startServer()
	l.startFabric()
	l.echo = startEcho(t)
	return l
}

// addGuest adds a guest without an address, with the MAC 02:00:0n:de:54:a8.
func (l *dhcpLab) addGuest(name, port string, n byte) *lab.Guest {
	l.t.Helper()
	g, err := lab.AddGuest(lab.GuestConfig{Name: name, Port: port, Bridge: "br0", MAC: net.HardwareAddr{2, 0, n, 0xde, 0x54, 0xa8}})
	labtest.Must(l.t, err)
	l.t.Cleanup(func() { g.Delete() })
	return g
}

// startServer starts dnsmasq until the test ends.
func (l *dhcpLab) startServer() {
	l.t.Helper()
	server := exec.Command("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--user=root", "--port=0", "--interface=br0",
		"--bind-interfaces", "--no-ping", "--dhcp-authoritative", "--dhcp-range=10.239.0.100,10.239.0.120,1h",
		"--dhcp-leasefile="+filepath.Join(l.dir, "leases"), "--pid-file="+filepath.Join(l.dir, "pid"))
	var out strings.Builder
	server.Stdout, server.Stderr = &out, &out
	labtest.Must(l.t, server.Start())
	l.t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
		if l.t.Failed() {
			l.t.Logf("dnsmasq said:\n%s", &out)
		}
	})
}

// startFabric runs a daemon until the test ends.
func (l *dhcpLab) startFabric() {
	l.t.Helper()
	dev, err := net.InterfaceByName("br0")
	labtest.Must(l.t, err)
	path := filepath.Join(l.dir, "lab.yaml")
	labtest.Write(l.t, path, fmt.Sprintf("networks:\n  lab:\n    attach: {bridge: br0}\n    subnet: 10.239.0.0/24\n    gateway: %s\n"+
		"    registry: {%s: %q}\n    sources: [{dnsmasq_leases: leases}]\n    policy: {dhcp: open}\n"+
		"api: {socket: %q}\nstore: {folder: off}\n", dhcpServer, dhcpServer, dev.HardwareAddr, filepath.Join(l.dir, "api.sock")))
	cfg, err := config.Load(path)
	labtest.Must(l.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	log := slog.New(slog.NewTextHandler(l.t.Output(), nil))
	go func() { ended <- daemon.Serve(ctx, cfg, log, func() { close(ready) }) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			l.t.Error(err)
		}
	})
	<-ready
	l.client = api.NewClient(filepath.Join(l.dir, "api.sock"))
	labtest.Eventually(l.t, "the guests' ports are guarded", func() bool {
		ports, err := l.client.Ports(ctx)
		return err == nil && len(ports) == 3 // with the host's
	})
}

// lease has a guest get a lease, and returns its address, or the zero Addr if it gets none.
func (l *dhcpLab) lease(g *lab.Guest) netip.Addr {
	l.t.Helper()
	dir := l.t.TempDir()
	got, script := filepath.Join(dir, "address"), filepath.Join(dir, "script")
	labtest.Must(l.t, os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\n[ \"$1\" != bound ] || echo \"$ip\" >%s\n", got), 0o700))
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	out, err := g.Run(ctx, "udhcpc", "-n", "-q", "-f", "-C", "-i", "eth0", "-t", "5", "-T", "1", "-s", script)
	l.t.Logf("%s: %v\n%s", g.Name, err, out)
	text, _ := os.ReadFile(got)
	addr, _ := netip.ParseAddr(strings.TrimSpace(string(text)))
	return addr
}

// use gives a guest this address alone.
func (l *dhcpLab) use(g *lab.Guest, addr netip.Addr) {
	l.t.Helper()
	labtest.Must(l.t, g.Do(func() error {
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		old, err := netlink.AddrList(eth0, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		for _, a := range old {
			if err := netlink.AddrDel(eth0, &a); err != nil {
				return err
			}
		}
		return netlink.AddrAdd(eth0, &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(24, 32)}})
	}))
}

// send sends UDP from a guest to the host, from one port to another.
func (l *dhcpLab) send(g *lab.Guest, from, to int, data []byte) (answer bool) {
	l.t.Helper()
	_ = g.Do(func() error {
		conn, err := net.DialUDP("udp4", &net.UDPAddr{Port: from}, &net.UDPAddr{IP: dhcpServer.AsSlice(), Port: to})
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.Write(data); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, err = conn.Read(make([]byte, 10))
		answer = err == nil
		return nil
	})
	return answer
}

// expectReaches waits until the host answers a guest.
func (l *dhcpLab) expectReaches(g *lab.Guest) {
	l.t.Helper()
	labtest.Eventually(l.t, g.Name+" reaches the host", func() bool { return l.send(g, 0, echoPort, []byte("hello")) })
}

// expectDropped has a guest send from an address until the fabric has seen it, and expects the host to have received
// nothing from there.
func (l *dhcpLab) expectDropped(g *lab.Guest, addr netip.Addr) {
	l.t.Helper()
	before := l.echo.count(addr)
	labtest.Eventually(l.t, fmt.Sprintf("%s from %s is seen", g.Name, addr), func() bool {
		l.send(g, 0, echoPort, []byte("hello"))
		violations, err := l.client.Violations(l.t.Context(), api.ViolationFilter{})
		labtest.Must(l.t, err)
		return slices.ContainsFunc(violations, func(v api.Violation) bool {
			return v.MAC == g.MAC.String() && v.Address == addr && strings.HasPrefix(v.Reason, "unregistered-s")
		})
	})
	if now := l.echo.count(addr); now != before {
		l.t.Errorf("the host received %d packets from %s", now-before, addr)
	}
}

// release gives a lease back, as a DHCP client does (RFC 2131, 4.4.6).
func (l *dhcpLab) release(g *lab.Guest, addr netip.Addr) {
	l.t.Helper()
	m := make([]byte, 300)
	copy(m, []byte{1, 1, 6})
	copy(m[12:], addr.AsSlice())
	copy(m[28:], g.MAC)
	copy(m[236:], append([]byte{99, 130, 83, 99, 53, 1, 7, 54, 4}, append(dhcpServer.AsSlice(), 255)...))
	l.send(g, 68, 67, m)
}

// hasBinding reports whether an address has a binding by a lease.
func (l *dhcpLab) hasBinding(addr netip.Addr) bool {
	page, err := l.client.NetworkBindings(l.t.Context(), "lab", api.BindingQuery{Source: api.FromDnsmasqLeases, Limit: 100})
	labtest.Must(l.t, err)
	return slices.ContainsFunc(page.Bindings, func(b api.NetworkBinding) bool { return b.First == addr })
}

const echoPort = 4077

// An echoServer answers UDP on the host, and counts it by sender.
type echoServer struct {
	mu     sync.Mutex
	counts map[netip.Addr]int
}

func startEcho(t *testing.T) *echoServer {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{Port: echoPort})
	labtest.Must(t, err)
	e := &echoServer{counts: map[netip.Addr]int{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		data := make([]byte, 100)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(data)
			if err != nil {
				return
			}
			e.mu.Lock()
			e.counts[from.Addr()]++
			e.mu.Unlock()
			conn.WriteToUDPAddrPort(data[:n], from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-ended })
	return e
}

func (e *echoServer) count(addr netip.Addr) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.counts[addr]
}

// TestFirstLease has guests that no file knows. With `dhcp: open` each gets a lease, and then has exactly its address, until
// the lease ends.
func TestFirstLease(t *testing.T) {
	l := newDHCPLab(t)
	taken := netip.MustParseAddr("10.239.0.99")
	l.use(l.web, taken)
	l.expectDropped(l.web, taken)

	webAddr, dbAddr := l.lease(l.web), l.lease(l.db)
	if !webAddr.IsValid() || !dbAddr.IsValid() {
		t.Fatalf("leases: %s and %s", webAddr, dbAddr)
	}
	for g, addr := range map[*lab.Guest]netip.Addr{l.web: webAddr, l.db: dbAddr} {
		l.use(g, addr)
		l.expectReaches(g)
	}

	other := dbAddr.Next().Next()
	l.use(l.web, other)
	l.expectDropped(l.web, other)
	l.use(l.web, webAddr)
	l.expectReaches(l.web)

	l.release(l.web, webAddr)
	labtest.Eventually(t, "the binding ends with the lease", func() bool { return !l.hasBinding(webAddr) })
	l.expectDropped(l.web, webAddr)
	l.expectReaches(l.db)
	if again := l.lease(l.web); !again.IsValid() {
		t.Error("no lease again")
	}
}
