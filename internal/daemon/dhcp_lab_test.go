package daemon_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
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
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A dhcpLab is a bridge with a DHCP server on the host, guests that are in no file, and a fabric that follows the leases:
//
//	host 10.239.0.1, server ── br0 ──┬── vnet1 ── web
//	                                 ├── vnet2 ── db
//	                                 └── vnet3 ── asker 10.239.0.50, in the registry
type dhcpLab struct {
	t       *testing.T
	dir     string
	kind    dhcpServer
	running *exec.Cmd // the server
	client  *api.Client
	web     *lab.Guest
	db      *lab.Guest
	asker   *lab.Guest
	echo    *echoServer
}

var hostAddr, askerAddr = netip.MustParseAddr("10.239.0.1"), netip.MustParseAddr("10.239.0.50")

// newDHCPLab makes a lab whose server gives addresses of a range.
func newDHCPLab(t *testing.T, kind dhcpServer, leases leaseRange) *dhcpLab {
	t.Helper()
	l := &dhcpLab{t: t, dir: t.TempDir(), kind: kind}
	labtest.Must(t, lab.AddBridge("br0"))
	t.Cleanup(func() { lab.DeleteLink("br0") })
	labtest.Must(t, labtest.AddAddress("br0", netip.PrefixFrom(hostAddr, 24)))
	l.web, l.db, l.asker = l.addGuest("web", "vnet1", 6), l.addGuest("db", "vnet2", 7), l.addGuest("asker", "vnet3", 8)
	l.startServer(leases)
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

// startServer starts the server, which keeps the leases that it had. It ends with the test, or by [dhcpLab.killServer].
func (l *dhcpLab) startServer(leases leaseRange) {
	l.t.Helper()
	l.running = l.kind.command(l.t, l.dir, leases)
	startProgram(l.t, l.kind.name, l.running, l.running.Start)
	labtest.Eventually(l.t, l.kind.name+" listens", func() bool { return labtest.ListensUDP(l.t, 67) })
}

// killServer kills the server, which has no time to write anything.
func (l *dhcpLab) killServer() {
	l.t.Helper()
	labtest.Must(l.t, l.running.Process.Kill())
	_ = l.running.Wait()
	l.running = nil
}

// startProgram starts a program until the test ends. If the test fails, it logs what the program said.
func startProgram(t *testing.T, name string, cmd *exec.Cmd, start func() error) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	out, err := os.Create(log)
	labtest.Must(t, err)
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	labtest.Must(t, start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("%s said:\n%s", name, text)
		}
	})
}

// startFabric runs a daemon until the test ends.
func (l *dhcpLab) startFabric() {
	l.t.Helper()
	dev, err := net.InterfaceByName("br0")
	labtest.Must(l.t, err)
	l.client = serve(l.t, fmt.Sprintf("networks:\n  lab:\n    attach: {bridge: br0}\n    subnet: 10.239.0.0/24\n    gateway: %s\n"+
		"    registry: {%s: %q, %s: %q}\n    sources: [{%s: %s}]\n    policy: {dhcp: open}\n",
		hostAddr, hostAddr, dev.HardwareAddr, askerAddr, l.asker.MAC, l.kind.source, filepath.Join(l.dir, leasesFile)))
	labtest.Eventually(l.t, "the guests' ports are guarded", func() bool {
		ports, err := l.client.Ports(l.t.Context())
		return err == nil && len(ports) == 4 // with the host's
	})
}

// serve runs a daemon without a store until the test ends.
func serve(t *testing.T, networks string) *api.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "api.sock")
	cfg, err := config.Load(labtest.TempFile(t, "lab.yaml", networks+fmt.Sprintf("api: {socket: %q}\nstore: {folder: off}\n", socket)))
	labtest.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	go func() { ended <- daemon.Serve(ctx, cfg, log, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-ready
	return api.NewClient(socket)
}

// waitForAddress waits until a guest has an address by DHCP, and returns it.
func (l *dhcpLab) waitForAddress(g *lab.Guest) (addr netip.Addr) {
	l.t.Helper()
	labtest.Eventually(l.t, g.Name+" has an address", func() bool {
		all := l.addresses(g)
		if len(all) == 1 {
			addr = all[0]
		}
		return len(all) == 1
	})
	return addr
}

// discover has a guest ask for offers, and waits for one, to which the guest does not answer.
func (l *dhcpLab) discover(g *lab.Guest) {
	l.t.Helper()
	c, err := g.StartCapture()
	labtest.Must(l.t, err)
	defer c.Close()
	message := make([]byte, 300)
	copy(message, []byte{1, 1, 6, 0, 0xa, 0xb, 0xc, 0xd})
	message[10] = 0x80 // the answer shall be a broadcast
	copy(message[28:], g.MAC)
	copy(message[236:], []byte{99, 130, 83, 99, 53, 1, 1, 255})
	datagram := slices.Concat([]byte{0, 68, 0, 67, 1, 52, 0, 0}, message)
	header := []byte{0x45, 0, 1, 72, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255}
	binary.BigEndian.PutUint16(header[10:], lab.Checksum(header))
	frame := slices.Concat(ethernet.Broadcast, g.MAC, []byte{8, 0}, header, datagram)
	isOffer := func(s lab.Seen) bool {
		return !s.Sent && len(s.Frame) > 42 && bytes.Equal(s.Frame[34:38], []byte{0, 67, 0, 68})
	}
	labtest.Eventually(l.t, g.Name+" gets an offer", func() bool {
		labtest.Must(l.t, c.Send(frame))
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
		defer cancel()
		return c.Wait(ctx, func(seen []lab.Seen) bool { return slices.ContainsFunc(seen, isOffer) }) == nil
	})
}

// addresses returns a guest's addresses.
func (l *dhcpLab) addresses(g *lab.Guest) (all []netip.Addr) {
	l.t.Helper()
	labtest.Must(l.t, g.Do(func() error {
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		list, err := netlink.AddrList(eth0, unix.AF_INET)
		for _, a := range list {
			addr, _ := netip.AddrFromSlice(a.IP.To4())
			all = append(all, addr)
		}
		return err
	}))
	return all
}

// using gives a guest an address while do runs. Its client may give it the same address, or remove it.
func (l *dhcpLab) using(g *lab.Guest, addr netip.Addr, do func()) {
	l.t.Helper()
	change := func(f func(netlink.Link, *netlink.Addr) error) error {
		return g.Do(func() error {
			eth0, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			return f(eth0, &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(24, 32)}})
		})
	}
	err := change(netlink.AddrAdd)
	isClients := errors.Is(err, unix.EEXIST)
	if !isClients {
		labtest.Must(l.t, err)
	}
	do()
	if isClients {
		return
	}
	if err := change(netlink.AddrDel); !errors.Is(err, unix.EADDRNOTAVAIL) {
		labtest.Must(l.t, err)
	}
}

// send sends UDP from a guest's address to another one.
func (l *dhcpLab) send(g *lab.Guest, from, to netip.Addr) (answer bool) {
	_ = g.Do(func() error {
		conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: from.AsSlice()}, &net.UDPAddr{IP: to.AsSlice(), Port: echoPort})
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("hello")); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, err = conn.Read(make([]byte, 10))
		answer = err == nil
		return nil
	})
	return answer
}

// expectReaches waits until the host answers a guest, and until another guest is told its MAC.
func (l *dhcpLab) expectReaches(g *lab.Guest, addr netip.Addr) {
	l.t.Helper()
	l.using(g, addr, func() {
		labtest.Eventually(l.t, fmt.Sprintf("%s reaches the host from %s", g.Name, addr), func() bool { return l.send(g, addr, hostAddr) })
	})
	labtest.Must(l.t, labtest.ForgetNeighbors(l.asker))
	l.using(l.asker, askerAddr, func() {
		labtest.Eventually(l.t, "another guest is told the MAC of "+g.Name, func() bool {
			l.send(l.asker, askerAddr, addr)
			known, err := labtest.Neighbors(l.asker)
			labtest.Must(l.t, err)
			return known[addr].String() == g.MAC.String()
		})
	})
}

// expectDropped has a guest send from an address until the fabric has reported it for a reason, and expects the host to
// have received nothing from there.
func (l *dhcpLab) expectDropped(g *lab.Guest, addr netip.Addr, reason string) {
	l.t.Helper()
	before := l.echo.count(addr)
	l.using(g, addr, func() {
		labtest.Eventually(l.t, fmt.Sprintf("%s from %s is seen: %s", g.Name, addr, reason), func() bool {
			l.send(g, addr, hostAddr)
			violations, err := l.client.Violations(l.t.Context(), api.ViolationFilter{})
			labtest.Must(l.t, err)
			return slices.ContainsFunc(violations, func(v api.Violation) bool {
				return v.MAC == g.MAC.String() && v.Address == addr && strings.HasPrefix(v.Reason, reason)
			})
		})
	})
	if now := l.echo.count(addr); now != before {
		l.t.Errorf("the host received %d packets from %s", now-before, addr)
	}
}

// owner returns the MAC that a lease binds an address to, or "".
func (l *dhcpLab) owner(addr netip.Addr) string {
	for _, b := range l.bindings() {
		if b.First == addr && b.NotInForce == "" {
			return b.MAC
		}
	}
	return ""
}

// bindings returns the bindings of the leases.
func (l *dhcpLab) bindings() []api.NetworkBinding {
	l.t.Helper()
	page, err := l.client.NetworkBindings(l.t.Context(), "lab", api.BindingQuery{Source: l.kind.source, Limit: 100})
	labtest.Must(l.t, err)
	return page.Bindings
}

// expectOwner waits until the leases bind an address to a guest, or to none if it is nil.
func (l *dhcpLab) expectOwner(addr netip.Addr, g *lab.Guest) {
	l.t.Helper()
	want := ""
	if g != nil {
		want = g.MAC.String()
	}
	labtest.Eventually(l.t, fmt.Sprintf("the leases bind %s to %q", addr, want), func() bool { return l.owner(addr) == want })
}

// watch looks whether an address stays bound to a guest, until the function that it returns is called.
func (l *dhcpLab) watch(addr netip.Addr, g *lab.Guest) (stop func()) {
	l.t.Helper()
	stopped := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			if got := l.owner(addr); got != g.MAC.String() {
				l.t.Errorf("meanwhile, %s is bound to %q", addr, got)
				return
			}
			select {
			case <-stopped:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	return func() { close(stopped); running.Wait() }
}

// expectNoProblem expects that the fabric could use all that the server wrote.
func (l *dhcpLab) expectNoProblem() {
	l.t.Helper()
	status, err := l.client.Status(l.t.Context())
	labtest.Must(l.t, err)
	for _, s := range status.Networks[0].Sources {
		if s.Error != "" || len(s.LeftOut) > 0 {
			l.t.Errorf("the source: error %q, left out %q", s.Error, s.LeftOut)
		}
	}
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
