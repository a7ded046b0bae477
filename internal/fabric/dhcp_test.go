package fabric_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
)

// TestDHCP checks that a guest with a registered MAC gets its lease from a server on the host, that no other guest
// receives its requests, and that a guest whose MAC has no binding gets no lease, although the server has one for it.
func TestDHCP(t *testing.T) {
	labtest.NeedProgram(t, "dnsmasq", "udhcpc")
	each(t, guarded, func(t *testing.T, s *stage) {
		client := addClient(t)
		unbound := makeGuest(t, lab.GuestConfig{Name: "unbound", Port: "vnet5", Bridge: bridgeName, MAC: stranger})
		startDHCP(t, "10.239.0.0,static", lease{client.MAC, clientAddr}, lease{unbound.MAC, freeAddr})
		start(t, withHost(t, network(s.attach)))
		if s.attachment == onBridge { // the server may answer before the fabric has seen where the client is
			for _, g := range []*guest{s.db, s.idle} {
				g.ask(t)
				expectNoFlood(t, g.Port)
			}
		}

		if got, want := client.lease(t), clientAddr.String(); got != want {
			t.Errorf("the client's lease is for %q, want %s", got, want)
		}
		if got := unbound.lease(t); got != "" {
			t.Errorf("the stranger has a lease, for %s", got)
		}
		for i, g := range []*guest{s.db, s.idle} {
			sendMark(t, s.app, g, i)
			for _, frame := range g.received() {
				if bytes.Contains(frame, client.MAC) || bytes.Contains(frame, unbound.MAC) {
					t.Errorf("%s received %x", g.Name, frame)
				}
			}
		}
	})
}

// TestOpenDHCP has a guest whose MAC has no binding. With `dhcp: open` it gets a lease, no other guest receives its requests,
// and with the lease alone it reaches nobody.
func TestOpenDHCP(t *testing.T) {
	labtest.NeedProgram(t, "dnsmasq", "udhcpc")
	each(t, guarded, func(t *testing.T, s *stage) {
		unbound := makeGuest(t, lab.GuestConfig{Name: "unbound", Port: "vnet5", Bridge: bridgeName, MAC: stranger})
		startDHCP(t, "10.239.0.0,static", lease{unbound.MAC, freeAddr})
		start(t, withHost(t, network(s.attach, "policy: {dhcp: open}")))
		if got, want := unbound.lease(t), freeAddr.String(); got != want {
			t.Errorf("the lease is for %q, want %s", got, want)
		}
		unbound.send(t, lab.Request(stranger, freeAddr, appAddr).Frame())
		for i, g := range []*guest{s.db, s.idle} {
			sendMark(t, s.app, g, i)
			for _, frame := range g.received() {
				if frame[0]&1 != 0 && bytes.Contains(frame, stranger) {
					t.Errorf("%s received %x", g.Name, frame)
				}
			}
		}
	})
}

// clientAddr is bound to the MAC of the client, which has no address yet.
var clientAddr = netip.MustParseAddr("10.239.0.104")

// addClient makes a guest that has no address yet, a member of br0, until the test ends.
func addClient(t *testing.T) *guest {
	t.Helper()
	return makeGuest(t, lab.GuestConfig{
		Name: "client", Port: "vnet4", Bridge: bridgeName, MAC: net.HardwareAddr{0x02, 0x00, 0x09, 0xde, 0x54, 0xa8},
	})
}

// TestDHCPClientProbes has a client that probes an offered address before it uses it. The server first offers an
// address that may differ from the one in the registry, and then that one.
func TestDHCPClientProbes(t *testing.T) {
	labtest.NeedProgram(t, "dnsmasq", "udhcpc")
	tests := []struct {
		name, policy string
		first        netip.Addr // the first offered address
		probed       []netip.Addr
		lease        string // "" if it gives up
	}{
		{"an address without a binding is declined", "{self_probe: drop, unallocated_probe: deny}", freeAddr,
			[]netip.Addr{freeAddr, clientAddr}, clientAddr.String()},
		{"an address without a binding is taken", "{self_probe: drop}", freeAddr,
			[]netip.Addr{freeAddr}, freeAddr.String()},
		// busybox's udhcpc takes any answer for a conflict, even one with its own MAC.
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

// probed returns the addresses that the guest has probed: it sent requests for them from 0.0.0.0.
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

// A lease is the address that a DHCP server has for a MAC.
type lease struct {
	mac  net.HardwareAddr
	addr netip.Addr
}

// startDHCP starts a DHCP server on br0, until the test ends, and waits until it listens. A client without a lease gets
// an address of addrs, a range in dnsmasq's notation, which may be empty.
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
	labtest.Must(t, err)
	defer out.Close()
	server.Stdout, server.Stderr = out, out
	labtest.Must(t, server.Start())
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
		if text, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("dnsmasq said:\n%s", text)
		}
	})
	labtest.Eventually(t, "dnsmasq listens", func() bool { return labtest.ListensUDP(t, 67) })
}

// lease runs a DHCP client with additional options in the guest, and returns the address that it gets, or "".
func (g *guest) lease(t *testing.T, options ...string) string {
	t.Helper()
	dir := t.TempDir()
	got := filepath.Join(dir, "address")
	script := filepath.Join(dir, "script")
	text := fmt.Sprintf("#!/bin/sh\n[ \"$1\" != bound ] || echo \"$ip\" >%s\n", got)
	labtest.Must(t, os.WriteFile(script, []byte(text), 0o700))
	options = append(options, "-n", "-q", "-f", "-i", "eth0", "-t", "3", "-T", "1", "-s", script)
	out, err := g.run(t, "udhcpc", options...)
	t.Logf("%s: %v\n%s", g.Name, err, out)
	address, err := os.ReadFile(got)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(address))
}

// A dhcpMessage has the fields of a DHCP message that matter (RFC 2131, section 2).
type dhcpMessage struct {
	op, htype, hlen byte
	giaddr          netip.Addr
	chaddr          net.HardwareAddr // the sender's if it is nil
}

func (m dhcpMessage) bytes(sender net.HardwareAddr) []byte {
	b := make([]byte, 300)
	b[0], b[1], b[2] = m.op, m.htype, m.hlen
	copy(b[24:], m.giaddr.AsSlice())
	copy(b[28:], sender)
	if m.chaddr != nil {
		copy(b[28:], m.chaddr)
	}
	copy(b[236:], []byte{99, 130, 83, 99, 53, 1, 1, 255}) // the magic cookie, DHCPDISCOVER, the end
	return b
}

// withMessage returns the frame of a packet with a changed DHCP message.
func (p packet) withMessage(change func(*dhcpMessage)) []byte {
	m := *p.dhcp
	change(&m)
	p.dhcp = &m
	return p.frame()
}

// TestInvalidDHCP has app send DHCP messages that are not its own requests, with which it could decline or release
// another's address, take many, or have the answer sent elsewhere: to all, to the server on the host, and to one behind
// an uplink that is a registered guest like others. They reach nobody. The same messages in app's own name arrive.
func TestInvalidDHCP(t *testing.T) {
	each(t, guarded, func(t *testing.T, built *stage) {
		s := buildAllowList(t, built)
		configuration := s.configuration(t)
		start(t, configuration)
		decider := responderOf(t, configuration)
		s.introduce(t, 1_000_000)
		for i, sending := range s.dhcp() {
			s.play(t, decider, sending, i)
		}
	})
}

func (s *allowListStage) dhcp() []sending {
	discover := s.discover()
	rebind, renew := discover, discover
	rebind.src = appAddr
	renew.src, renew.to, renew.dst = appAddr, s.host.MAC, hostAddr.Addr()
	kinds := []struct {
		name   string
		packet packet
		reason responder.Reason
		heard  []*guest
	}{
		{"discover", discover, responder.DHCPClient, s.servers()},
		{"rebind", rebind, responder.DHCPClient, s.servers()},
		{"renew", renew, responder.Admitted, []*guest{s.host}},
	}
	if s.outside != nil {
		renew.to, renew.dst, renew.srcPort = s.outside.MAC, s.outside.Addr.Addr(), 1067
		kinds = append(kinds, struct {
			name   string
			packet packet
			reason responder.Reason
			heard  []*guest
		}{"renew at a registered server", renew, responder.Admitted, []*guest{s.outside}})
	}
	changes := []struct {
		name   string
		change func(*dhcpMessage)
	}{
		{"another's chaddr", func(m *dhcpMessage) { m.chaddr = s.db.MAC }},
		{"a random chaddr", func(m *dhcpMessage) { m.chaddr = stranger }},
		{"a chaddr with another last bit", func(m *dhcpMessage) {
			m.chaddr = slices.Clone(s.app.MAC)
			m.chaddr[5] ^= 1
		}},
		{"giaddr", func(m *dhcpMessage) { m.giaddr = dbAddr }},
		{"hlen", func(m *dhcpMessage) { m.hlen = 0 }},
		{"htype", func(m *dhcpMessage) { m.htype = 6 }},
		{"op", func(m *dhcpMessage) { m.op = 2 }},
	}
	list := []sending{
		refused("a server's answer to db", responder.InvalidDHCP,
			s.toDB().with(func(p *packet) { p.udp, p.srcPort, p.dstPort = true, 67, 68 })),
		refused("from another port, to db's port of DHCP clients", responder.InvalidDHCP,
			s.toDB().with(func(p *packet) { p.udp, p.srcPort, p.dstPort = true, 1067, 68 })),
	}
	for _, k := range kinds {
		list = append(list, sending{name: k.name, frame: k.packet.frame(), reason: k.reason, passes: true, heard: k.heard})
		short := k.packet
		short.dhcp = nil
		list = append(list, refused(k.name+" without a message", responder.InvalidDHCP, short.frame()))
		// The receiver puts the message together from fragments, without what else is in their frames.
		first := k.packet
		first.fragment = 0x2000
		list = append(list, refused(k.name+" in a first fragment", responder.InvalidDHCP, first.frame()))
		padded := k.packet.frame()
		binary.BigEndian.PutUint16(padded[14+20+4:], 8)
		list = append(list, refused(k.name+" behind a datagram that ends before it", responder.InvalidDHCP, padded))
	}
	for _, c := range changes {
		k := kinds[len(list)%len(kinds)]
		list = append(list, refused(k.name+", "+c.name, responder.InvalidDHCP, k.packet.withMessage(c.change)))
	}
	return list
}

// servers returns those who receive the broadcasts of DHCP clients.
func (s *allowListStage) servers() []*guest {
	if s.outside == nil {
		return []*guest{s.host}
	}
	return []*guest{s.host, s.outside}
}

// TestDHCPLimit has app send many requests at once. The server gets few of them, and one of db at the same time.
func TestDHCPLimit(t *testing.T) {
	s := buildAllowList(t, build(t, onBridge))
	fabric := start(t, s.configuration(t))
	s.introduce(t, 1_000_000)
	const many, burst, perSecond = 500, 20, 10
	began := time.Now()
	for range many {
		s.app.send(t, s.discover().frame())
	}
	byDB := s.discover().with(func(p *packet) { p.from = s.db.MAC })
	s.db.send(t, byDB)
	for _, server := range s.servers() {
		labtest.Eventually(t, server.Name+" receives db's request", func() bool { return server.hasReceived(byDB) })
	}
	sendMark(t, s.app, s.outside, 1)
	most := burst + perSecond*int(time.Since(began)/time.Second+1)
	for _, server := range s.servers() {
		n := 0
		for _, frame := range server.received() {
			if bytes.Equal(frame[:12], s.discover().frame()[:12]) {
				n++
			}
		}
		if n < burst || n > most {
			t.Errorf("%s received %d of %d requests; want %d to %d", server.Name, n, many, burst, most)
		}
	}
	labtest.Eventually(t, "the others are counted", func() bool {
		n := fabric.counts(s.app.Port)[responder.RateLimited]
		return n >= many-uint64(most) && n <= many-burst
	})
}
