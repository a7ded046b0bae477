package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/datapath/bpf"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/nftables"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A sidecarStage is a plain bridge, on which guests receive each other's ARP. app, and in some tests db, runs a fabric
// that is attached to the guest's own eth0.
//
//	+-- app --------------+  +-- db ---------------+
//	|  10.239.0.101       |  |  10.239.0.102       |     gateway              stranger
//	|  02:00:06:de:54:a8  |  |  02:00:07:de:54:a8  |     10.239.0.1           10.239.0.104, no binding
//	|  arpfabric    eth0  |  |  arpfabric    eth0  |     02:00:00:de:54:a8    02:00:09:de:54:a8
//	+----------------|----+  +----------------|----+     eth0                 eth0
//	                 |                        |            |                   |
//	            +--- vnet1 ----------------- vnet2 ------- vnet3 ------------ vnet4 --+
//	            |  br0                                                                |
//	            +---------------------------------------------------------------------+
type sidecarStage struct {
	*stage
	gateway, stranger *guest
}

func newSidecarStage(t *testing.T) *sidecarStage {
	t.Helper()
	labtest.NeedProgram(t, "ping")
	s := &sidecarStage{stage: newStage(t)}
	s.gateway = addGuestAt(t, 3, "gateway", net.HardwareAddr{0x02, 0, 0, 0xde, 0x54, 0xa8}, "10.239.0.1/24")
	s.stranger = addGuestAt(t, 4, "stranger", net.HardwareAddr{0x02, 0, 0x09, 0xde, 0x54, 0xa8}, "10.239.0.104/24")
	for _, g := range []*guest{s.app, s.db, s.gateway, s.stranger} {
		labtest.Must(t, g.Do(func() error {
			return os.WriteFile("/proc/sys/net/ipv4/conf/eth0/arp_accept", []byte("1"), 0) // learn from any ARP that arrives
		}))
	}
	return s
}

// onSidecar returns the configuration of a sidecar. more follows the registry: other keys of the network, or of the
// file.
func onSidecar(more string) string { return attached("{sidecar: eth0}", more) }

// startIn starts the program in a guest and waits until it is attached.
func startIn(t *testing.T, g *guest, configuration string) *program {
	t.Helper()
	path := labtest.TempFile(t, "arpfabric.yaml", configuration)
	return startOn(t, g, path)
}

// kernelAnswers reports whether the kernel answers in the tests of sidecars.
func kernelAnswers() bool {
	return os.Getenv(labtest.DatapathVariable) != "user" && len(bpf.Missing()) == 0
}

func startOn(t *testing.T, g *guest, path string) *program {
	t.Helper()
	datapath := "user"
	if kernelAnswers() {
		datapath = "kernel"
	}
	p := launch(t, g.Start, nil, "run", "--config", path, "--datapath", datapath)
	p.expectLog(t, "network attached")
	return p
}

func (g *guest) ping(t *testing.T, addr string) {
	t.Helper()
	if out, err := g.Run(context.Background(), "ping", "-c", "1", "-w", "20", addr); err != nil {
		t.Errorf("%s can't ping %s: %v\n%s", g.Name, addr, err, out)
	}
}

// arrivedFrom returns the frames from a MAC that have arrived at the guest before a mark that the guest by sends now.
func (g *guest) arrivedFrom(t *testing.T, mac net.HardwareAddr, by *guest) [][]byte {
	t.Helper()
	mark := slices.Concat(g.MAC, by.MAC, []byte{0x88, 0xb5}, fmt.Appendf(nil, "%046d", time.Now().UnixNano()))
	labtest.Eventually(t, "a mark arrives at "+g.Name, func() bool {
		by.Send(mark)
		return slices.ContainsFunc(g.Frames(), func(s lab.Seen) bool { return bytes.Equal(s.Frame, mark) })
	})
	var frames [][]byte
	for _, s := range g.Frames() {
		if !s.Sent && bytes.Equal(s.Frame[6:12], mac) {
			frames = append(frames, s.Frame)
		}
	}
	return frames
}

func (s *sidecarStage) expectNoARPFrom(t *testing.T, silent *guest) {
	t.Helper()
	for _, frame := range s.stranger.arrivedFrom(t, silent.MAC, s.gateway) {
		if lab.CarriesARP(frame) {
			t.Errorf("the stranger received %s from %s (%x)", responder.Describe(frame), silent.Name, frame)
		}
	}
}

func (g *guest) expectNeighbor(t *testing.T, addr, mac string) {
	t.Helper()
	known, err := labtest.Neighbors(g.Guest)
	labtest.Must(t, err)
	if got := known[netip.MustParseAddr(addr)].String(); got != mac {
		t.Errorf("%s has %s at %q, want %q", g.Name, addr, got, mac)
	}
}

func (g *guest) waitForNeighbor(t *testing.T, addr, mac string) {
	t.Helper()
	labtest.Eventually(t, g.Name+" has "+addr+" at "+mac, func() bool {
		known, err := labtest.Neighbors(g.Guest)
		labtest.Must(t, err)
		return known[netip.MustParseAddr(addr)].String() == mac
	})
}

// TestSidecarsReachEachOther runs the example in app: it is the example for that container.
func TestSidecarsReachEachOther(t *testing.T) {
	s := newSidecarStage(t)
	example, err := os.ReadFile("../../examples/sidecar.yaml")
	labtest.Must(t, err)
	startIn(t, s.app, string(example))
	startIn(t, s.db, onSidecar(""))
	s.app.ping(t, "10.239.0.102")
	s.db.ping(t, "10.239.0.1")
	s.expectNoARPFrom(t, s.app)
	s.expectNoARPFrom(t, s.db)
	s.app.expectNeighbor(t, "10.239.0.102", "02:00:07:de:54:a8")
}

// A forgery is a frame that the guard of a sidecar must drop.
type forgery struct {
	name     string
	frame    []byte
	protocol uint16 // of the packet socket that sends it
	isARP    bool   // dropped also with `guard: arp`
	isOdd    bool   // with `guard: arp`, dropped if the kernel cannot find its header
}

func (s *sidecarStage) forgeries() []forgery {
	app, to := s.app, s.stranger.MAC
	ask := func(change func(*lab.ARP)) []byte {
		a := lab.Request(app.MAC, app.Addr.Addr(), netip.MustParseAddr("10.239.0.1"))
		change(&a)
		return a.Frame()
	}
	request := ask(func(*lab.ARP) {})
	truthful := ask(func(a *lab.ARP) { a.Operation, a.Destination = arp.OperationReply, to })
	lie := ask(func(a *lab.ARP) {
		a.Operation, a.Destination, a.SenderIP = arp.OperationReply, to, netip.MustParseAddr("10.239.0.1")
	})
	own := datagram(app.MAC, to, app.Addr.Addr(), 1)
	forged := datagram(app.MAC, to, netip.MustParseAddr("10.239.0.102"), 2)
	snap := slices.Concat(request[:12], []byte{0, 36, 0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x06}, request[14:])
	return []forgery{
		{name: "request", frame: request, isARP: true},
		{name: "request, unicast", frame: ask(func(a *lab.ARP) { a.Destination = to }), isARP: true},
		{name: "announcement", frame: ask(func(a *lab.ARP) { a.TargetIP = a.SenderIP }), isARP: true},
		{name: "a lie", frame: lie, isARP: true},
		{name: "the truth", frame: truthful, isARP: true},
		{name: "request that is said to be IPv4", frame: request, protocol: unix.ETH_P_IP, isARP: true},
		{name: "request that is said to be tagged", frame: request, protocol: unix.ETH_P_8021Q, isARP: true},
		{name: "request behind LLC/SNAP", frame: snap, isARP: true},
		{name: "request in VLAN 0", frame: tag(request), isARP: true},
		{name: "request in VLAN 0, twice", frame: tag(tag(request)), isARP: true},
		{name: "request in VLAN 0, three times", frame: tag(tag(tag(request))), isARP: true},
		{name: "request in VLAN 0 behind LLC/SNAP", frame: tag(snap), isARP: true},
		{name: "request in VLAN 0, twice, behind LLC/SNAP", frame: tag(tag(snap)), isARP: true},
		{name: "another's source address", frame: forged},
		{name: "another's source address that is said to be ARP", frame: forged, protocol: unix.ETH_P_ARP},
		{name: "another's source address that is said to be tagged", isOdd: true, protocol: unix.ETH_P_8021Q,
			frame: datagram(app.MAC, to, netip.MustParseAddr("10.239.0.102"), 3)},
		{name: "another's MAC", frame: datagram(s.db.MAC, to, app.Addr.Addr(), 4)},
		{name: "no source address", frame: datagram(app.MAC, to, netip.IPv4Unspecified(), 5)},
		{name: "IPv4 in VLAN 5", frame: slices.Concat(own[:12], []byte{0x81, 0, 0, 5}, own[12:])},
		{name: "another EtherType", frame: slices.Concat(to, app.MAC, []byte{0x88, 0xb6}, make([]byte, 46))},
		{name: "IPv6", frame: ipv6(app.MAC, to)},
		{name: "DHCP with another's MAC", frame: dhcp(s.db.MAC, 6)},
		{name: "what a DHCP server sends", frame: swapPorts(dhcp(app.MAC, 7))},
	}
}

// tag puts a frame into VLAN 0.
func tag(frame []byte) []byte {
	return slices.Concat(frame[:12], []byte{0x81, 0, 0, 0}, frame[12:])
}

// datagram returns an unsolicited ICMP echo reply to 10.239.0.104, with a number.
func datagram(mac, to net.HardwareAddr, from netip.Addr, number uint32) []byte {
	icmp := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0}, number)
	return ipv4(mac, to, from, netip.MustParseAddr("10.239.0.104"), unix.IPPROTO_ICMP, icmp)
}

// dhcp returns the message of a DHCP client without an address, with a number.
func dhcp(mac net.HardwareAddr, number uint32) []byte {
	udp := binary.BigEndian.AppendUint32([]byte{0, 68, 0, 67, 0, 12, 0, 0}, number)
	return ipv4(mac, ethernet.Broadcast, netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255"), unix.IPPROTO_UDP, udp)
}

func swapPorts(frame []byte) []byte {
	frame[35], frame[37] = frame[37], frame[35]
	return frame
}

func ipv4(mac, to net.HardwareAddr, from, dst netip.Addr, protocol byte, payload []byte) []byte {
	header := []byte{0x45, 0, 0, byte(20 + len(payload)), 0, 0, 0, 0, 64, protocol, 0, 0}
	header = slices.Concat(header, from.AsSlice(), dst.AsSlice())
	sum := uint32(0) // RFC 1071
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum>>16+sum&0xffff))
	return slices.Concat(to, mac, []byte{0x08, 0x00}, header, payload)
}

// ipv6 returns an empty IPv6 packet (RFC 8200, 4.7).
func ipv6(mac, to net.HardwareAddr) []byte {
	const noNextHeader, hopLimit = 59, 64
	from, dst := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")
	header := []byte{0x60, 0, 0, 0, 0, 0, noNextHeader, hopLimit}
	return slices.Concat(to, mac, []byte{0x86, 0xdd}, header, from.AsSlice(), dst.AsSlice())
}

// sendRaw sends a frame through a packet socket of a protocol, with a socket option if level is not 0. It reports no
// error if the kernel drops the frame.
func (g *guest) sendRaw(t *testing.T, frame []byte, protocol uint16, level, option, value int) {
	t.Helper()
	labtest.Must(t, g.Do(func() error {
		s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		if level != 0 {
			if err := unix.SetsockoptInt(s, level, option, value); err != nil {
				return err
			}
		}
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		inNetworkOrder := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, protocol))
		err = unix.Sendto(s, frame, 0, &unix.SockaddrLinklayer{Protocol: inNetworkOrder, Ifindex: eth0.Index})
		if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EPERM) {
			return nil // dropped
		}
		return err
	}))
}

// hasSeen reports whether a frame has arrived at the guest.
func (g *guest) hasSeen(frame []byte) bool {
	return slices.ContainsFunc(g.Frames(), func(s lab.Seen) bool { return !s.Sent && bytes.Equal(s.Frame, frame) })
}

// expectPassage waits until a frame from app's own address has arrived at the stranger. No frame that app sent earlier
// can arrive after it.
func (s *sidecarStage) expectPassage(t *testing.T, number uint32) {
	t.Helper()
	own := datagram(s.app.MAC, s.stranger.MAC, s.app.Addr.Addr(), number)
	labtest.Eventually(t, "app's own IPv4 arrives", func() bool {
		s.app.Send(own)
		return s.stranger.hasSeen(own)
	})
}

func TestSidecarKeepsWhatIsNotItsOwn(t *testing.T) {
	for _, guard := range []string{"full", "arp"} {
		t.Run(guard, func(t *testing.T) {
			s := newSidecarStage(t)
			startIn(t, s.app, onSidecar("    policy: {guard: "+guard+"}\n"))
			bypass := func(frame []byte, protocol uint16) {
				s.app.sendRaw(t, frame, protocol, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
			}
			marked := func(frame []byte, protocol uint16) {
				s.app.sendRaw(t, frame, protocol, unix.SOL_SOCKET, unix.SO_MARK, 1)
			}
			plain := func(frame []byte, protocol uint16) { s.app.sendRaw(t, frame, protocol, 0, 0, 0) }
			for how, send := range map[string]func([]byte, uint16){"plain": plain, "past the queues": bypass, "marked": marked} {
				before := len(s.stranger.Frames())
				for _, f := range s.forgeries() {
					send(f.frame, f.protocol)
				}
				s.expectPassage(t, uint32(1_000_000+before))
				arrived := s.stranger.Frames()[before:]
				for _, f := range s.forgeries() {
					isThere := slices.ContainsFunc(arrived, func(seen lab.Seen) bool { return bytes.Equal(seen.Frame, f.frame) })
					if want := guard == "arp" && !f.isARP; isThere != want && !(want && f.isOdd) {
						t.Errorf("%s, %s: arrived: %v, want %v", f.name, how, isThere, want)
					}
				}
			}
		})
	}
}

// TestSidecarMarkIsNoPass has a program in the namespace use the mark of the fabric's answers. With it the program can
// only send answers that match the registry.
func TestSidecarMarkIsNoPass(t *testing.T) {
	s := newSidecarStage(t)
	startIn(t, s.app, onSidecar(""))
	mark := s.app.guardMark(t)
	var truth []byte
	for _, f := range s.forgeries() {
		if f.name == "the truth" {
			truth = f.frame
			continue
		}
		s.app.sendRaw(t, f.frame, f.protocol, unix.SOL_SOCKET, unix.SO_MARK, mark)
	}
	labtest.Eventually(t, "the truth leaves", func() bool {
		s.app.sendRaw(t, truth, 0, unix.SOL_SOCKET, unix.SO_MARK, mark)
		return s.stranger.hasSeen(truth)
	})
	for _, f := range s.forgeries() {
		if f.name != "the truth" && s.stranger.hasSeen(f.frame) {
			t.Errorf("%s left", f.name)
		}
	}
}

// guardMark returns the mark of the fabric's answers.
func (g *guest) guardMark(t *testing.T) (mark int) {
	t.Helper()
	labtest.NeedProgram(t, "nft")
	listed, err := g.Run(context.Background(), "nft", "list", "table", "netdev", nft.TableName)
	labtest.Must(t, err)
	_, behind, _ := strings.Cut(listed, "meta mark 0x")
	if _, err := fmt.Sscanf(behind, "%x", &mark); err != nil || mark == 0 {
		t.Fatalf("no mark (%v) in\n%s", err, listed)
	}
	return mark
}

func TestSidecarLetsDHCPOut(t *testing.T) {
	s := newSidecarStage(t)
	startIn(t, s.app, onSidecar(""))
	request := dhcp(s.app.MAC, 1)
	labtest.Eventually(t, "a DHCP request leaves", func() bool { s.app.Send(request); return s.stranger.hasSeen(request) })
}

func TestSidecarPassesIPv6ByPolicy(t *testing.T) {
	s := newSidecarStage(t)
	startIn(t, s.app, onSidecar("    policy: {ipv6: pass}\n"))
	other := ipv6(s.db.MAC, s.stranger.MAC)
	s.app.Send(other)
	own := ipv6(s.app.MAC, s.stranger.MAC)
	labtest.Eventually(t, "IPv6 leaves", func() bool { s.app.Send(own); return s.stranger.hasSeen(own) })
	if s.stranger.hasSeen(other) {
		t.Error("IPv6 with another's MAC left")
	}
}

// asks asks for an address by a broadcast and returns the request.
func (g *guest) asks(target string) []byte {
	request := g.request(target)
	g.Send(request)
	return request
}

// answersFrom counts the replies that say an address is at a MAC.
func (g *guest) repliesFor(addr string, mac net.HardwareAddr) int {
	n := 0
	for _, s := range g.Frames() {
		var p arp.Packet
		if s.Sent || !lab.CarriesARP(s.Frame) || p.UnmarshalBinary(s.Frame[14:]) != nil {
			continue
		}
		if p.Operation == arp.OperationReply && p.SenderIP == netip.MustParseAddr(addr) && bytes.Equal(p.SenderHardwareAddr, mac) {
			n++
		}
	}
	return n
}

// TestSidecarAnswersOthers checks which requests from outside get an answer.
func TestSidecarAnswersOthers(t *testing.T) {
	s := newSidecarStage(t)
	labtest.Must(t, s.db.Delete()) // only app could answer for it now
	startIn(t, s.app, onSidecar(""))
	s.stranger.asks("10.239.0.101")
	s.gateway.asks("10.239.0.102")
	labtest.Eventually(t, "the gateway is answered", func() bool {
		s.gateway.asks("10.239.0.101")
		return s.gateway.repliesFor("10.239.0.101", s.app.MAC) > 0
	})
	if n := s.gateway.repliesFor("10.239.0.102", s.db.MAC); n > 0 {
		t.Error("app answered for db")
	}
	if n := s.stranger.repliesFor("10.239.0.101", s.app.MAC); n > 0 {
		t.Error("the stranger was answered")
	}
	s.gateway.ping(t, "10.239.0.101")
}

// TestSidecarLearnsFromNobody sends app the frames from which a Linux host would learn.
func TestSidecarLearnsFromNobody(t *testing.T) {
	s := newSidecarStage(t)
	startIn(t, s.app, onSidecar(""))
	s.app.ping(t, "10.239.0.1")
	for _, addr := range []string{"10.239.0.1", "10.239.0.104", "10.239.0.102"} {
		for _, operation := range []arp.Operation{arp.OperationRequest, arp.OperationReply} {
			for _, target := range []string{addr, "10.239.0.101"} {
				lie := lab.ARP{
					Destination: ethernet.Broadcast, Source: s.stranger.MAC, Operation: operation,
					SenderHardwareAddr: s.stranger.MAC, SenderIP: netip.MustParseAddr(addr),
					TargetHardwareAddr: s.app.MAC, TargetIP: netip.MustParseAddr(target),
				}.Frame()
				for _, frame := range [][]byte{lie, tag(lie), tag(tag(lie)), tag(tag(tag(lie)))} {
					s.stranger.Send(frame)
				}
			}
		}
	}
	s.app.arrivedFrom(t, s.stranger.MAC, s.stranger) // waits until all frames have arrived
	known, err := labtest.Neighbors(s.app.Guest)
	labtest.Must(t, err)
	if len(known) != 1 || known[netip.MustParseAddr("10.239.0.1")].String() != "02:00:00:de:54:a8" {
		t.Errorf("app has learned: %v", known)
	}
}

func TestSidecarAsksForNobody(t *testing.T) {
	s := newSidecarStage(t)
	p := startIn(t, s.app, onSidecar("log: {level: debug}\n"))
	// Through lo the kernel tells the sender that an address is unreachable.
	labtest.Must(t, s.app.Do(func() error { return link.Up("lo") }))
	err := s.app.dial("10.239.0.200")
	if !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("dialling an address without a binding: %v", err)
	}
	p.expectLog(t, "who-has 10.239.0.200 tell 10.239.0.101")
	if n := strings.Count(p.output.String(), "who-has 10.239.0.200"); n != 1 {
		t.Errorf("the kernel sent %d requests", n)
	}
	s.expectNoARPFrom(t, s.app)
}

// dial makes the guest send to an address, and returns the error: no program listens there.
func (g *guest) dial(addr string) error {
	return g.Do(func() error {
		conn, err := net.DialTimeout("tcp4", net.JoinHostPort(addr, "9"), labtest.Patience)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// TestSidecarArping sends requests from a packet socket, which gets no answer from a neighbour entry. A program in the kernel
// answers it by a frame. The guard drops the request, so arping takes it for not sent, and the answer for unsolicited.
func TestSidecarArping(t *testing.T) {
	labtest.NeedProgram(t, "arping")
	s := newSidecarStage(t)
	startIn(t, s.app, onSidecar(""))
	out, err := s.app.Run(context.Background(), "arping", "-c", "2", "-w", "2", "-I", "eth0", "10.239.0.1")
	want, asked := "Received 0 response", 1
	if kernelAnswers() {
		want, asked = "Received 2 response", 0
	}
	if ask := launch(t, s.app.Start, nil, "ask", "10.239.0.1"); ask.wait(t) != asked || !strings.Contains(ask.output.String(), "asked 1") {
		t.Errorf("ask:\n%s", ask.output.String())
	}
	if err == nil || !strings.Contains(out, want) {
		t.Errorf("arping: %v\n%s", err, out)
	}
	if !kernelAnswers() && s.app.knows(t, "10.239.0.1") {
		t.Error("the kernel knows what it didn't ask for")
	}
	s.expectNoARPFrom(t, s.app)
}

func TestSidecarFollowsTheRegistry(t *testing.T) {
	s := newSidecarStage(t)
	s.app.ping(t, "10.239.0.104") // before the fabric starts
	s.app.ping(t, "10.239.0.102")
	s.app.addPermanent(t, "10.239.0.77")
	path := labtest.TempFile(t, "arpfabric.yaml", onSidecar(""))
	p := startOn(t, s.app, path)
	labtest.Eventually(t, "who has no binding is forgotten", func() bool {
		known, err := labtest.Neighbors(s.app.Guest)
		labtest.Must(t, err)
		_, ok := known[netip.MustParseAddr("10.239.0.104")]
		return !ok
	})
	s.app.ping(t, "10.239.0.102")

	labtest.Write(t, path, strings.Replace(onSidecar(""), "02:00:07:de:54:a8", "02:00:0b:de:54:a8", 1))
	s.app.waitForNeighbor(t, "10.239.0.102", "02:00:0b:de:54:a8")

	labtest.Write(t, path, strings.Replace(onSidecar(""), "10.239.0.102:", "10.239.0.99:", 1))
	s.app.waitForNeighbor(t, "10.239.0.102", "")

	labtest.Write(t, path, onSidecar(""))
	labtest.Eventually(t, "db is there again", func() bool { s.app.dial("10.239.0.102"); return s.app.knows(t, "10.239.0.102") })
	s.app.Send(s.app.request("10.239.0.77")) // must not make the entry fail
	labtest.Must(t, p.Process.Signal(unix.SIGTERM))
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.output.String())
	}
	if s.app.knows(t, "10.239.0.102") {
		t.Error("app still knows db")
	}
	s.app.expectNeighbor(t, "10.239.0.77", "02:00:00:00:00:77")
	if s.app.tableIsThere(t) {
		t.Error("the table is still there")
	}
}

func (g *guest) addPermanent(t *testing.T, addr string) {
	t.Helper()
	labtest.Must(t, g.Do(func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		return netlink.NeighSet(&netlink.Neigh{
			LinkIndex: eth0.Index, Family: unix.AF_INET, State: unix.NUD_PERMANENT,
			IP: net.ParseIP(addr), HardwareAddr: net.HardwareAddr{0x02, 0, 0, 0, 0, 0x77},
		})
	}))
}

func (g *guest) knows(t *testing.T, addr string) bool {
	t.Helper()
	known, err := labtest.Neighbors(g.Guest)
	labtest.Must(t, err)
	return known[netip.MustParseAddr(addr)] != nil
}

// tableIsThere reports whether the guest's network namespace has the guard's table.
func (g *guest) tableIsThere(t *testing.T) bool {
	t.Helper()
	isThere := false
	labtest.Must(t, g.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := c.ListTablesOfFamily(nftables.TableFamilyNetdev)
		isThere = slices.ContainsFunc(tables, func(table *nftables.Table) bool { return table.Name == nft.TableName })
		return err
	}))
	return isThere
}

// TestSidecarIsStopped checks what each end of the fabric leaves of the guard, and that release removes it.
func TestSidecarIsStopped(t *testing.T) {
	tests := []struct {
		name   string
		policy string
		signal unix.Signal
		closed bool
	}{
		{"released", "", unix.SIGTERM, false},
		{"held", "    policy: {on_stop: hold}\n", unix.SIGTERM, true},
		{"killed", "", unix.SIGKILL, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSidecarStage(t)
			p := startIn(t, s.app, onSidecar(tt.policy))
			s.app.ping(t, "10.239.0.102")
			labtest.Must(t, p.Process.Signal(tt.signal))
			<-p.ended
			if tt.closed {
				s.app.Send(s.app.request("10.239.0.1"))
				forged := datagram(s.app.MAC, s.stranger.MAC, s.db.Addr.Addr(), 2)
				s.app.Send(forged)
				s.gateway.Send(s.gateway.request("10.239.0.101"))
				s.expectPassage(t, 1)
				s.expectNoARPFrom(t, s.app)
				if s.stranger.hasSeen(forged) {
					t.Error("a forged packet left")
				}
				if answered := s.gateway.repliesFor("10.239.0.101", s.app.MAC) > 0; answered != kernelAnswers() {
					t.Errorf("app answered: %t", answered)
				}
				p := launch(t, s.app.Start, nil, "release")
				if code := p.wait(t); code != 0 {
					t.Errorf("release: exit code %d:\n%s", code, p.output.String())
				}
			}
			labtest.Must(t, labtest.ForgetNeighbors(s.app.Guest))
			s.app.ping(t, "10.239.0.104")
			if frames := s.stranger.arrivedFrom(t, s.app.MAC, s.gateway); !slices.ContainsFunc(frames, lab.CarriesARP) {
				t.Error("app did not ask by itself")
			}
			s.gateway.ping(t, "10.239.0.101")
		})
	}
}

// TestSidecarIsTakenOver kills the fabric while app floods, and starts it again.
func TestSidecarIsTakenOver(t *testing.T) {
	s := newSidecarStage(t)
	p := startIn(t, s.app, onSidecar(""))
	stop := labtest.SendRepeatedly(s.app.Capture, s.app.request("10.239.0.102"), s.app.request("10.239.0.101"))
	defer stop()
	for range 5 {
		labtest.Must(t, p.Process.Kill())
		<-p.ended
		s.expectNoARPFrom(t, s.app)
		p = startIn(t, s.app, onSidecar(""))
		labtest.Must(t, labtest.ForgetNeighbors(s.app.Guest))
		s.app.ping(t, "10.239.0.102")
	}
	stop()
	s.expectNoARPFrom(t, s.app)
}

func TestSidecarTableIsFlushed(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	s := newSidecarStage(t)
	p := startIn(t, s.app, onSidecar(""))
	for i, damage := range []string{"flush ruleset", "flush chain netdev arpfabric leaves_eth0", "delete table netdev arpfabric"} {
		if out, err := s.app.Run(context.Background(), "nft", damage); err != nil {
			t.Fatalf("nft %s: %v: %s", damage, err, out)
		}
		labtest.Eventually(t, damage+" is noticed", func() bool {
			return strings.Count(p.output.String(), "installing it again") == i+1 && s.app.tableIsThere(t)
		})
		labtest.Must(t, labtest.ForgetNeighbors(s.app.Guest))
		s.app.ping(t, "10.239.0.102")
	}
	before := len(s.stranger.Frames())
	s.app.Send(s.app.request("10.239.0.1"))
	s.expectPassage(t, 1)
	for _, seen := range s.stranger.Frames()[before:] {
		if lab.CarriesARP(seen.Frame) && bytes.Equal(seen.Frame[6:12], s.app.MAC) {
			t.Errorf("the stranger received %s", responder.Describe(seen.Frame))
		}
	}
}

// TestSidecarInterfaceComesBack deletes app's eth0, with which the kernel deletes the chains, and creates it again.
func TestSidecarInterfaceComesBack(t *testing.T) {
	s := newSidecarStage(t)
	p := startIn(t, s.app, onSidecar(""))
	labtest.Must(t, lab.DeleteLink(s.app.Port))
	p.expectLog(t, "port gone")
	namespace, err := netns.GetFromName(s.app.Name)
	labtest.Must(t, err)
	defer namespace.Close()
	labtest.Must(t, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: s.app.Port},
		PeerName:  "eth0", PeerHardwareAddr: s.app.MAC, PeerNamespace: netlink.NsFd(namespace),
	}))
	p.expectLog(t, "port attached")
	labtest.Must(t, lab.SetMaster(s.app.Port, bridgeName))
	labtest.Must(t, s.app.Do(func() error { return errors.Join(labtest.AddAddress("eth0", s.app.Addr), link.Up("eth0")) }))
	labtest.Must(t, link.Up(s.app.Port))
	labtest.Eventually(t, "app reaches db", func() bool {
		_, err := s.app.Run(context.Background(), "ping", "-c", "1", "-W", "1", "10.239.0.102")
		return err == nil
	})
	s.expectNoARPFrom(t, s.app)
	if strings.Contains(p.output.String(), "another program has changed the guard") {
		t.Errorf("the fabric takes the kernel for another program:\n%s", p.output.String())
	}
}

// TestSidecarClassic checks that the fabric only observes, and changes nothing.
func TestSidecarClassic(t *testing.T) {
	s := newSidecarStage(t)
	s.app.ping(t, "10.239.0.104")
	p := startIn(t, s.app, onSidecar("    mode: classic\nlog: {level: debug}\n"))
	s.app.expectNeighbor(t, "10.239.0.104", s.stranger.MAC.String())
	labtest.Must(t, labtest.ForgetNeighbors(s.app.Guest))
	s.app.ping(t, "10.239.0.104")
	p.expectLog(t, `who-has 10.239.0.104 tell 10.239.0.101, length 28" network=lab port=eth0 action=drop reason=unknown-target`)
	s.stranger.asks("10.239.0.101")
	p.expectLog(t, `who-has 10.239.0.101 tell 10.239.0.104, length 28" network=lab port=eth0 action=drop reason=unregistered-sender`)
	for _, f := range s.forgeries() {
		s.app.sendRaw(t, f.frame, f.protocol, 0, 0, 0)
	}
	for _, f := range s.forgeries() {
		labtest.Eventually(t, f.name+" leaves", func() bool { return s.stranger.hasSeen(f.frame) })
	}
	labtest.Eventually(t, "app answers by itself", func() bool { return s.stranger.repliesFor("10.239.0.101", s.app.MAC) > 0 })
	for _, frame := range s.stranger.arrivedFrom(t, s.app.MAC, s.app) {
		if lab.CarriesARP(frame) && len(frame) == responder.MinFrameLen {
			t.Errorf("the fabric answered: %s", responder.Describe(frame))
		}
	}
}

// TestSidecarRateLimit has the gateway send far more than one request a second.
func TestSidecarRateLimit(t *testing.T) {
	s := newSidecarStage(t)
	startIn(t, s.app, onSidecar("    policy: {rate_limit: 1}\n"))
	labtest.Eventually(t, "the gateway is answered", func() bool {
		s.gateway.asks("10.239.0.101")
		return s.gateway.repliesFor("10.239.0.101", s.app.MAC) > 0
	})
	const many = 500
	for range many {
		s.gateway.asks("10.239.0.101")
	}
	labtest.Eventually(t, "db, which asks later, is answered", func() bool {
		s.db.asks("10.239.0.101")
		return s.db.repliesFor("10.239.0.101", s.app.MAC) > 0
	})
	if n := s.gateway.repliesFor("10.239.0.101", s.app.MAC); n > many/2 {
		t.Errorf("%d answers to %d requests with a limit of one a second", n, many)
	}
}
