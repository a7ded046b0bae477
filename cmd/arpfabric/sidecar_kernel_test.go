package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// needKernelAnswers skips a test that is about the eBPF program for a sidecar's guest where the kernel does not answer.
func needKernelAnswers(t *testing.T) {
	t.Helper()
	if !kernelAnswers() {
		needKernelDatapath(t)
		t.Skip("the tests run on the datapath of nftables")
	}
}

// newKernelSidecar makes the stage of sidecars, with a fabric in app whose kernel answers by itself.
func newKernelSidecar(t *testing.T, more string) (*sidecarStage, *program) {
	t.Helper()
	needKernelAnswers(t)
	s := newSidecarStage(t)
	return s, startIn(t, s.app, onSidecar(more))
}

// hasOwnProgram reports whether the program for its own requests is attached in the guest, and whether anything is left of
// what it is attached to.
func (g *guest) hasOwnProgram(t *testing.T) (isAttached, isAnyLeft bool) {
	t.Helper()
	labtest.Must(t, g.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		qdiscs, err := netlink.QdiscList(lo)
		if err != nil {
			return err
		}
		isAnyLeft = slices.ContainsFunc(qdiscs, func(q netlink.Qdisc) bool { return q.Type() == "clsact" || q.Type() == "ingress" })
		filters, err := netlink.FilterList(lo, netlink.HANDLE_MIN_EGRESS)
		isAttached = err == nil && len(filters) > 0
		return nil
	}))
	return isAttached, isAnyLeft
}

// asksOften asks for an address about a thousand times a second. stop ends that, and returns how often it has asked.
func (g *guest) asksOften(target string) (stop func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	asked := make(chan int)
	go func() {
		n := 0
		for ctx.Err() == nil {
			g.asks(target)
			n++
			time.Sleep(time.Millisecond)
		}
		asked <- n
	}()
	return func() int { cancel(); return <-asked }
}

// run runs a command in a guest.
func (g *guest) run(t *testing.T, command ...string) {
	t.Helper()
	if out, err := g.Run(context.Background(), command[0], command[1:]...); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(command, " "), err, out)
	}
}

// TestSidecarKilledAnswers kills the fabric while app asks again and again, by its kernel and by a packet socket, and starts it
// again: each request of an address with a binding is answered, and nothing leaves.
func TestSidecarKilledAnswers(t *testing.T) {
	s, p := newKernelSidecar(t, "")
	labtest.NeedProgram(t, "arping")
	stop := s.app.asksOften("10.239.0.102")
	for range 3 {
		labtest.Must(t, p.Process.Kill())
		<-p.ended
		labtest.Must(t, labtest.ForgetNeighbors(s.app.Guest))
		s.app.ping(t, "10.239.0.1") // its kernel does not ask for db
		if out, _ := s.app.Run(context.Background(), "arping", "-c", "1", "-w", "2", "-I", "eth0", "10.239.0.1"); !strings.Contains(out, "Received 1 response") {
			t.Errorf("arping is not answered:\n%s", out)
		}
		s.app.asks("10.239.0.200")
		p = startIn(t, s.app, onSidecar(""))
	}
	asked := stop()
	labtest.Eventually(t, fmt.Sprintf("all of %d requests are answered", asked), func() bool {
		return s.app.repliesFor("10.239.0.102", s.db.MAC) >= asked
	})
	if answers := s.app.repliesFor("10.239.0.200", s.db.MAC); answers > 0 {
		t.Errorf("%d answers for an address without a binding", answers)
	}
	s.expectNoARPFrom(t, s.app)
}

// TestSidecarReloadLosesNothing has the guard and the registry replaced while app asks.
func TestSidecarReloadLosesNothing(t *testing.T) {
	s, p := newKernelSidecar(t, "")
	configuration := p.Args[slices.Index(p.Args, "--config")+1]
	stop := s.app.asksOften("10.239.0.102")
	for i := range 6 {
		guard := []string{"arp", "full"}[i%2]
		labtest.Write(t, configuration, onSidecar(fmt.Sprintf("      10.239.0.%d: %q\n    policy: {guard: %s}\n", 150+i, s.app.MAC, guard)))
		labtest.Eventually(t, "the configuration is reloaded", func() bool {
			return strings.Count(p.output.String(), "network reloaded") > i
		})
	}
	asked := stop()
	labtest.Eventually(t, fmt.Sprintf("all of %d requests are answered", asked), func() bool {
		return s.app.repliesFor("10.239.0.102", s.db.MAC) == asked
	})
}

// TestSidecarKernelCounts checks that the fabric counts what the kernel answers, and decides about what it does not: status and
// watch show both as those of the guest.
func TestSidecarKernelCounts(t *testing.T) {
	s, p := newKernelSidecar(t, "log: {level: debug}\n")
	s.app.asks("10.239.0.102")
	p.expectLog(t, `who-has 10.239.0.102 tell 10.239.0.101, length 28" network=lab port=eth0 action=reply reason=answered`)
	s.app.asks("10.239.0.200")
	p.expectLog(t, `who-has 10.239.0.200 tell 10.239.0.101, length 28" network=lab port=eth0 action=drop reason=unknown-target`)
	forged := lab.Request(s.app.MAC, netip.MustParseAddr("10.239.0.102"), netip.MustParseAddr("10.239.0.1"))
	s.app.Send(forged.Frame())
	p.expectLog(t, `action=drop reason=spoofed-sender`)
	s.gateway.asks("10.239.0.101")
	p.expectLog(t, `who-has 10.239.0.101 tell 10.239.0.1, length 28" network=lab port=eth0 action=reply reason=answered`)
	s.gateway.asks("10.239.0.102")
	p.expectLog(t, `who-has 10.239.0.102 tell 10.239.0.1, length 28" network=lab port=eth0 action=drop reason=unknown-target`)
	labtest.Eventually(t, "status has the counts", func() bool {
		status := launch(t, s.app.Start, nil, "status", "--json")
		status.wait(t)
		out := status.output.String()
		return strings.Contains(out, `"answered": 2`) && strings.Contains(out, `"unknown-target": 2`)
	})
}

// TestSidecarProgramIsRemoved has others remove the program, or what it is attached to. The fabric attaches it again.
func TestSidecarProgramIsRemoved(t *testing.T) {
	s, p := newKernelSidecar(t, "")
	for i, remove := range []string{"qdisc del dev lo clsact", "filter del dev lo egress"} {
		s.app.run(t, append([]string{"tc"}, strings.Fields(remove)...)...)
		s.app.asks("10.239.0.102") // goes nowhere
		labtest.Eventually(t, "it is noticed", func() bool {
			isAttached, _ := s.app.hasOwnProgram(t)
			return isAttached && strings.Count(p.output.String(), "installing it again") == i+1
		})
		labtest.Must(t, labtest.ForgetNeighbors(s.app.Guest))
		s.app.ping(t, "10.239.0.102")
	}
	s.expectNoARPFrom(t, s.app)
}

// TestSidecarBesideOthers has another program use the egress of the loopback interface. The fabric answers the guest itself, says
// so, and leaves alone what is the other's.
func TestSidecarBesideOthers(t *testing.T) {
	labtest.NeedProgram(t, "tc")
	labtest.NeedProgram(t, "nft")
	needKernelAnswers(t)
	const classifier = "tc filter add dev lo egress u32 match u32 0 0 flowid 1:1"
	for _, tt := range []struct {
		name          string
		before, after []string // commands, before and after the fabric starts
	}{
		{"from the start", []string{"tc qdisc add dev lo clsact", classifier}, nil},
		{"later", nil, []string{classifier}},
		{"at ingress", []string{"tc qdisc add dev lo ingress"}, nil},
		{"in nftables", nil, []string{"nft table netdev other { chain c { type filter hook egress device lo priority 0; drop; }; }"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSidecarStage(t)
			run := func(commands []string) {
				for _, command := range commands {
					s.app.run(t, strings.Fields(command)...)
				}
			}
			run(tt.before)
			p := startIn(t, s.app, onSidecar(""))
			run(tt.after)
			const why = "answers some requests itself: others use tc or tcx at egress of lo"
			p.expectLog(t, why)
			s.app.ping(t, "10.239.0.102")
			s.expectNoARPFrom(t, s.app)
			status := launch(t, s.app.Start, nil, "status")
			status.wait(t)
			if out := status.output.String(); !strings.Contains(out, why) {
				t.Errorf("status:\n%s", out)
			}
			labtest.Must(t, p.Process.Signal(unix.SIGTERM))
			<-p.ended
			usesTC, areClassifiers := tt.name != "in nftables", tt.name == "from the start" || tt.name == "later"
			if isClassified, isAnyLeft := s.app.hasOwnProgram(t); isClassified != areClassifiers || isAnyLeft != usesTC {
				t.Errorf("classifiers are left: %t, the qdisc: %t", isClassified, isAnyLeft)
			}
		})
	}
}

// TestSidecarReleasesTheProgram checks when the program goes and when it stays.
func TestSidecarReleasesTheProgram(t *testing.T) {
	for _, tt := range []struct {
		name, policy string
		signal       unix.Signal
		stays        bool
	}{
		{"stopped", "", unix.SIGTERM, false},
		{"held", "    policy: {on_stop: hold}\n", unix.SIGTERM, true},
		{"killed", "", unix.SIGKILL, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, p := newKernelSidecar(t, tt.policy)
			s.app.ping(t, "10.239.0.102")
			labtest.Must(t, p.Process.Signal(tt.signal))
			<-p.ended
			if tt.name == "stopped" && s.app.knows(t, "10.239.0.102") {
				t.Error("app still knows what the kernel answered")
			}
			if isAttached, _ := s.app.hasOwnProgram(t); isAttached != tt.stays {
				t.Errorf("attached: %t", isAttached)
			}
			if tt.stays {
				if p := launch(t, s.app.Start, nil, "release"); p.wait(t) != 0 || !strings.Contains(p.output.String(), "eBPF programs at tc") {
					t.Errorf("release:\n%s", p.output.String())
				}
			}
			if _, isAnyLeft := s.app.hasOwnProgram(t); isAnyLeft {
				t.Error("the qdisc is still there")
			}
		})
	}
}

// TestSidecarDatapathChanges replaces a killed fabric by one with the datapath user, while app asks.
func TestSidecarDatapathChanges(t *testing.T) {
	s, p := newKernelSidecar(t, "")
	labtest.Must(t, p.Process.Kill())
	<-p.ended
	path := labtest.TempFile(t, "arpfabric.yaml", onSidecar(""))
	p = launch(t, s.app.Start, nil, "run", "--config", path, "--datapath", "user")
	p.expectLog(t, "network attached")
	if _, isAnyLeft := s.app.hasOwnProgram(t); isAnyLeft {
		t.Error("the program is still there")
	}
	s.app.ping(t, "10.239.0.102")
	s.expectNoARPFrom(t, s.app)
}

// TestSidecarProgramPastTheGuard sends frames to the program itself, with the priority and the mark of the guard's copies, as a
// program with CAP_NET_RAW can. It learns what the registry says, and none leaves.
func TestSidecarProgramPastTheGuard(t *testing.T) {
	s, _ := newKernelSidecar(t, "")
	mark := s.app.guardMark(t)
	labtest.Must(t, s.app.Do(func() error { return link.Up("lo") }))
	for _, f := range s.forgeries() {
		s.app.sendToProgram(t, f.frame, mark)
	}
	labtest.Eventually(t, "a request is answered", func() bool {
		s.app.sendToProgram(t, s.app.request("10.239.0.1"), mark)
		return s.app.repliesFor("10.239.0.1", s.gateway.MAC) > 0
	})
	for _, seen := range s.app.Frames() {
		var p arp.Packet
		if seen.Sent || !lab.CarriesARP(seen.Frame) {
			continue
		}
		if p.UnmarshalBinary(seen.Frame[14:]) != nil || p.Operation != arp.OperationReply || p.SenderIP.String() != "10.239.0.1" ||
			p.SenderHardwareAddr.String() != s.gateway.MAC.String() {
			t.Errorf("app received %s", responder.Describe(seen.Frame))
		}
	}
	s.expectNoARPFrom(t, s.app)
}

// TestSidecarProgramLimitsTheRate sends requests to the program itself, where the guard's limit does not hold.
func TestSidecarProgramLimitsTheRate(t *testing.T) {
	s, _ := newKernelSidecar(t, "    policy: {rate_limit: 5}\n")
	const many = 300
	for range many {
		s.app.sendToProgram(t, s.app.request("10.239.0.1"), 0)
	}
	if n := s.app.repliesFor("10.239.0.1", s.gateway.MAC); n > many/2 {
		t.Errorf("%d answers to %d requests with a limit of five a second", n, many)
	}
	labtest.Eventually(t, "a later request is answered", func() bool {
		before := s.app.repliesFor("10.239.0.1", s.gateway.MAC)
		s.app.sendToProgram(t, s.app.request("10.239.0.1"), 0)
		return before > 0 && s.app.repliesFor("10.239.0.1", s.gateway.MAC) > before
	})
}

// sendToProgram sends a frame to the egress of the loopback interface, as a copy of one that the guest sends by eth0.
func (g *guest) sendToProgram(t *testing.T, frame []byte, mark int) {
	t.Helper()
	labtest.Must(t, g.Do(func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		err = errors.Join(unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_PRIORITY, eth0.Index),
			unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_MARK, mark))
		if err != nil {
			return err
		}
		const loopback = 1
		inNetworkOrder := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ARP))
		err = unix.Sendto(s, frame, 0, &unix.SockaddrLinklayer{Protocol: inNetworkOrder, Ifindex: loopback})
		if errors.Is(err, unix.ENOBUFS) { // the program has dropped it
			return nil
		}
		return err
	}))
}
