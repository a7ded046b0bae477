package fabric_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/mdlayher/arp"
)

// TestDHCP holds that a guest with a registered MAC gets its lease from a server on the host, unheard by others, and
// that one whose MAC has no binding gets none, though the server has one for it.
func TestDHCP(t *testing.T) {
	lab.NeedProgram(t, "dnsmasq", "udhcpc")
	each(t, guarded, func(t *testing.T, s *stage) {
		client := addClient(t)
		unbound := makeGuest(t, lab.GuestConfig{Name: "unbound", Port: "vnet5", Bridge: bridgeName, MAC: stranger})
		startDHCP(t, "10.239.0.0,static", lease{client.MAC, clientAddr}, lease{unbound.MAC, freeAddr})
		start(t, withHost(t, network(s.attach)))

		if got, want := client.lease(t), clientAddr.String(); got != want {
			t.Errorf("the client's lease is for %q, want %s", got, want)
		}
		if got := unbound.lease(t); got != "" {
			t.Errorf("the stranger has a lease, for %s", got)
		}
		for i, g := range []*guest{s.db, s.idle} {
			sendMark(t, s.app, g, i)
			for _, frame := range g.arrived() {
				if bytes.Contains(frame, client.MAC) || bytes.Contains(frame, unbound.MAC) {
					t.Errorf("%s heard %x", g.Name, frame)
				}
			}
		}
	})
}

// clientAddr is bound to the MAC of a client that has no address yet.
var clientAddr = netip.MustParseAddr("10.239.0.104")

// addClient makes a guest that has no address yet, a member of br0, until the test ends.
func addClient(t *testing.T) *guest {
	t.Helper()
	return makeGuest(t, lab.GuestConfig{
		Name: "client", Port: "vnet4", Bridge: bridgeName, MAC: net.HardwareAddr{0x02, 0x00, 0x09, 0xde, 0x54, 0xa8},
	})
}

// TestDHCPClientThatProbes has a client probe what it is offered before it takes it. The server has an address
// for it that may not be the one in the registry, and that one next.
func TestDHCPClientThatProbes(t *testing.T) {
	lab.NeedProgram(t, "dnsmasq", "udhcpc")
	tests := []struct {
		name, policy string
		first        netip.Addr // that it is offered
		probed       []netip.Addr
		lease        string // "" if it gives up
	}{
		{"an address without a binding is declined", "{self_probe: drop, unallocated_probe: deny}", freeAddr,
			[]netip.Addr{freeAddr, clientAddr}, clientAddr.String()},
		{"an address without a binding is taken", "{self_probe: drop}", freeAddr,
			[]netip.Addr{freeAddr}, freeAddr.String()},
		// To busybox's udhcpc any answer is a conflict, its own MAC included.
		{"its own address is declined", "{}", clientAddr, []netip.Addr{clientAddr}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := build(t, onBridge)
			client := addClient(t)
			startDHCP(t, fmt.Sprintf("%s,%s", clientAddr, clientAddr), lease{client.MAC, tt.first})
			start(t, withHost(t, network(s.attach, "policy: "+tt.policy)))
			if got := client.lease(t, "-a", "-A", "1"); got != tt.lease {
				t.Errorf("the client's lease is for %q, want %q", got, tt.lease)
			}
			if probed := client.probed(); !slices.Equal(probed, tt.probed) {
				t.Errorf("the client probed %s, want %s", probed, tt.probed)
			}
			s.expectSilence(t, s.db, s.idle)
		})
	}
}

// probed returns the addresses that the guest has sent probes for, which are hosts' requests from 0.0.0.0.
func (g *guest) probed() []netip.Addr {
	var addrs []netip.Addr
	for _, s := range g.Frames() {
		var p arp.Packet
		if s.Sent && lab.CarriesARP(s.Frame) && p.UnmarshalBinary(s.Frame[14:]) == nil && p.SenderIP == unspecified {
			addrs = append(addrs, p.TargetIP)
		}
	}
	return addrs
}

// A lease is what a DHCP server has for a MAC.
type lease struct {
	mac  net.HardwareAddr
	addr netip.Addr
}

// startDHCP starts a DHCP server on br0 until the test ends, and waits until it listens. Whoever has no lease gets
// an address of what dnsmasq calls a range, which may hold none.
func startDHCP(t *testing.T, addrs string, leases ...lease) {
	t.Helper()
	dir := t.TempDir()
	args := []string{
		"--no-daemon", "--conf-file=/dev/null", "--user=root", "--port=0", "--interface=" + bridgeName, "--bind-interfaces", "--no-ping",
		"--dhcp-range=" + addrs, "--dhcp-leasefile=" + filepath.Join(dir, "leases"), "--pid-file=" + filepath.Join(dir, "pid"),
	}
	for _, l := range leases {
		args = append(args, fmt.Sprintf("--dhcp-host=%s,%s", l.mac, l.addr))
	}
	server := exec.Command("dnsmasq", args...)
	log := filepath.Join(dir, "log")
	out, err := os.Create(log)
	must(t, err)
	defer out.Close()
	server.Stdout, server.Stderr = out, out
	must(t, server.Start())
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
		if text, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("dnsmasq said:\n%s", text)
		}
	})
	lab.Eventually(t, "dnsmasq listens", func() bool { return listensUDP(t, 67) })
}

// listensUDP reports whether a socket of the host is bound to a UDP port.
func listensUDP(t *testing.T, port int) bool {
	t.Helper()
	sockets, err := os.ReadFile("/proc/thread-self/net/udp")
	must(t, err)
	return strings.Contains(string(sockets), fmt.Sprintf(":%04X 00000000:0000", port))
}

// lease runs a DHCP client with more options in the guest and returns the address that it gets, or "".
func (g *guest) lease(t *testing.T, options ...string) string {
	t.Helper()
	dir := t.TempDir()
	got := filepath.Join(dir, "address")
	script := filepath.Join(dir, "script")
	text := fmt.Sprintf("#!/bin/sh\n[ \"$1\" != bound ] || echo \"$ip\" >%s\n", got)
	must(t, os.WriteFile(script, []byte(text), 0o700))
	options = append(options, "-n", "-q", "-f", "-i", "eth0", "-t", "3", "-T", "1", "-s", script)
	out, err := g.run(t, "udhcpc", options...)
	t.Logf("%s: %v\n%s", g.Name, err, out)
	address, err := os.ReadFile(got)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(address))
}
