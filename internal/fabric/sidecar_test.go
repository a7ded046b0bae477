package fabric_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/nftables"
	"go.uber.org/goleak"
)

// In these tests, the namespace of the tests is a sidecar's guest, on eth1. The tests in cmd/arpfabric run a sidecar in
// a guest's namespace.

var sidecarAddr = netip.MustParseAddr("10.239.0.110")

// buildSidecar makes the stage, and returns it with the configuration of a sidecar on eth1.
func buildSidecar(t *testing.T) (*stage, string) {
	t.Helper()
	s := build(t, onInterface)
	eth1, err := net.InterfaceByName("eth1")
	labtest.Must(t, err)
	return s, network("{sidecar: eth1}") + fmt.Sprintf("      %s: %q\n", sidecarAddr, eth1.HardwareAddr)
}

// TestSidecarCounts checks that one port counts both its guest's requests and the requests of others.
func TestSidecarCounts(t *testing.T) {
	s, configuration := buildSidecar(t)
	f := start(t, configuration)
	s.app.send(t, s.app.request(sidecarAddr).Frame())
	s.app.send(t, s.app.request(dbAddr).Frame())
	s.app.send(t, s.app.request(freeAddr).Frame())
	f.expectCounts(t, "eth1", counts{responder.Answered: 1, responder.UnknownTarget: 2}, "others asked")
	labtest.Eventually(t, "app is answered", func() bool { return s.app.answersFor(sidecarAddr) == 1 })

	eth1, err := net.InterfaceByName("eth1")
	labtest.Must(t, err)
	out, err := wire.OpenPacket(0, 0)
	labtest.Must(t, err)
	defer out.Close()
	for _, target := range []netip.Addr{dbAddr, freeAddr} {
		ask := s.app.request(target)
		ask.Source, ask.SenderHardwareAddr, ask.SenderIP = eth1.HardwareAddr, eth1.HardwareAddr, sidecarAddr
		out.Write([]wire.Frame{{Port: eth1.Index, Data: ask.Frame()}})
	}
	f.expectCounts(t, "eth1", counts{responder.Answered: 2, responder.UnknownTarget: 3}, "it asked")
	if n := len(f.Counts()); n != 1 {
		t.Errorf("%d ports: %v", n, f.Counts())
	}
}

// TestForgingSidecarLogsLittle sends from many addresses that are not its own.
func TestForgingSidecarLogsLittle(t *testing.T) {
	s, configuration := buildSidecar(t)
	var log lines
	f := fabric.New(loadConfig(t, configuration), slog.New(slog.NewTextHandler(&log, nil)), newDatapath(t))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	<-f.Ready()
	eth1, err := net.InterfaceByName("eth1")
	labtest.Must(t, err)
	out, err := wire.OpenPacket(0, 0)
	labtest.Must(t, err)
	defer out.Close()
	const many = 500
	for i := range many {
		ask := s.app.request(dbAddr)
		ask.Source, ask.SenderHardwareAddr = eth1.HardwareAddr, eth1.HardwareAddr
		ask.SenderIP = netip.AddrFrom4([4]byte{10, 240, byte(i >> 8), byte(i)})
		out.Write([]wire.Frame{{Port: eth1.Index, Data: ask.Frame()}})
	}
	(&running{Fabric: f}).expectCounts(t, "eth1", counts{responder.UnregisteredSender: many}, "forging")
	cancel()
	labtest.Must(t, <-ended)
	if log.count > 30 {
		t.Errorf("%d lines", log.count)
	}
}

// lines counts the lines of a log. A log writes one line at a time.
type lines struct{ count int }

func (l *lines) Write(p []byte) (int, error) {
	l.count++
	return len(p), nil
}

func TestSidecarStopLeavesNothing(t *testing.T) {
	s, configuration := buildSidecar(t)
	goroutines := goleak.IgnoreCurrent()
	descriptors := listDescriptors(t)
	f := start(t, configuration)
	s.app.send(t, s.app.request(sidecarAddr).Frame())
	labtest.Eventually(t, "app is answered", func() bool { return s.app.answersFor(sidecarAddr) == 1 })
	f.stop()
	goleak.VerifyNone(t, goroutines)
	if now := listDescriptors(t); !slices.Equal(now, descriptors) {
		t.Errorf("descriptors before:\n%q\nafter:\n%q", descriptors, now)
	}
	if sidecarGuardIsThere(t) {
		t.Error("the guard is still there")
	}
}

// TestSidecarReload adds a sidecar by a reload, and then replaces it by a bridge.
func TestSidecarReload(t *testing.T) {
	s, configuration := buildSidecar(t)
	f := start(t, network("{interface: eth1}"))
	f.reload(t, configuration)
	if !sidecarGuardIsThere(t) {
		t.Error("there is no guard")
	}
	s.app.send(t, s.app.request(sidecarAddr).Frame())
	labtest.Eventually(t, "app is answered", func() bool { return s.app.answersFor(sidecarAddr) == 1 })
	f.reload(t, network("{bridge: br0}"))
	if sidecarGuardIsThere(t) {
		t.Error("the guard is still there")
	}
	s.app.ask(t)
}

// TestSidecarStartFails checks that a sidecar that cannot start leaves nothing behind.
func TestSidecarStartFails(t *testing.T) {
	t.Cleanup(func() { lab.DeleteLink("eth1") })
	_, configuration := buildSidecar(t)
	other, err := wire.OpenNFLOG()
	labtest.Must(t, err)
	defer other.Close()
	expectRefusal(t, configuration, "NFLOG group 16722 is in use")
	if sidecarGuardIsThere(t) {
		t.Error("it left a guard")
	}
}

// TestFailedStartIsRolledBack makes a start fail at the table of bridges, when that of sidecars is installed. The
// latter is removed again, unless there was one before.
func TestFailedStartIsRolledBack(t *testing.T) {
	_, sidecar := buildSidecar(t)
	both := sidecar + secondNetwork("{bridge: br0}")
	own := ownGuard(t)
	expectRefusal(t, both, "installing the guard: not permitted")
	if sidecarGuardIsThere(t) {
		t.Error("it left a guard")
	}
	labtest.Must(t, own.CloseLasting())

	t.Cleanup(func() { nft.NewSidecarTable(wire.Group, 0).Remove() })
	start(t, sidecar+"    policy: {on_stop: hold}\n").stop()
	ownGuard(t)
	expectRefusal(t, both, "installing the guard: not permitted")
	if !sidecarGuardIsThere(t) {
		t.Error("it removed the guard that another fabric had left")
	}
	expectRefusal(t, network("{bridge: br0}"), "installing the guard: not permitted")
	if !sidecarGuardIsThere(t) {
		t.Error("it removed a guard that it does not need, although it did not start")
	}
}

// ownGuard makes a table of the guard's name that no other socket may change, until it is closed or the test ends.
func ownGuard(t *testing.T) *nftables.Conn {
	t.Helper()
	c, err := nftables.New(nftables.AsLasting())
	labtest.Must(t, err)
	t.Cleanup(func() { c.CloseLasting() })
	c.AddTable(&nftables.Table{Name: nft.TableName, Family: nftables.TableFamilyBridge, Flags: nftables.TableFlagOwner})
	labtest.Must(t, c.Flush())
	return c
}

func sidecarGuardIsThere(t *testing.T) bool {
	t.Helper()
	return tableIsThere(t, nftables.TableFamilyNetdev)
}
