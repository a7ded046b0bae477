package demo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// TestRunHosts compares the report with testdata/hosts.txt, except for the times.
func TestRunHosts(t *testing.T) {
	labtest.NeedProgram(t, "etcd")
	if testing.Short() {
		t.Skip("skipped by -short: other tests cover the same features of the kernel")
	}
	var out bytes.Buffer
	if err := RunHosts(t.Context(), 3, config.DatapathAuto, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	compare(t, "testdata/hosts.txt", out.String())
}

func TestRunHostsIsInterrupted(t *testing.T) {
	labtest.NeedProgram(t, "etcd")
	ctx, cancel := context.WithCancel(t.Context())
	if err := RunHosts(ctx, 2, config.DatapathAuto, canceller{io.Discard, cancel}); !errors.Is(err, errInterrupted) {
		t.Errorf("got error %v, want %v", err, errInterrupted)
	}
	if err := lab.AddBridge(underlay); err != nil {
		t.Errorf("the run has left something: %v", err)
	}
	lab.DeleteLink(underlay)
}

func TestCheckHosts(t *testing.T) {
	t.Setenv("PATH", "/nowhere")
	for number, want := range map[int]string{0: "want 2 to 9 hosts", 1: "want 2 to 9 hosts", 10: "want 2 to 9 hosts", 3: "needs etcd"} {
		if err := CheckHosts(number); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d hosts: got %v, want %s", number, err, want)
		}
	}
}

// TestTally tells kinds of frames apart.
func TestTally(t *testing.T) {
	h := &host{Guest: &lab.Guest{GuestConfig: lab.GuestConfig{Addr: hostAddr(2)}}}
	stage := &hostsTestbed{guests: []*hostGuest{{Guest: &lab.Guest{GuestConfig: guestsOf(2)[0]}, host: h}}}
	app := guestsOf(2)[0].MAC
	for _, tt := range []struct {
		to   netip.Addr
		mac  net.HardwareAddr
		want kind
	}{
		{hostAddr(2).Addr(), app, direct},
		{hostAddr(3).Addr(), app, astray},
		{hostAddr(2).Addr(), net.HardwareAddr{2, 0, 0, 0, 0, 9}, unknown},
		{hostAddr(2).Addr(), broadcast, broadcasts},
		{hostAddr(2).Addr(), net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, multicasts},
	} {
		inner := lab.EchoReply(tt.mac, app, unspecifiedIP, unspecifiedIP, nil)
		to, got, ok := tunnelled(vxlan(tt.to, inner))
		if !ok || !bytes.Equal(got, inner) || stage.kindOf(to, got) != tt.want {
			t.Errorf("%s to %s: %s, want %s", tt.mac, tt.to, stage.kindOf(to, got), tt.want)
		}
	}
	if _, _, ok := tunnelled(lab.EchoReply(app, app, unspecifiedIP, unspecifiedIP, make([]byte, 64))); ok {
		t.Error("an ICMP packet counts as a frame in a tunnel")
	}
	for _, wrong := range kinds[1:] {
		if err := (tally{h: {direct: 4, wrong: 1}}).check(4); err == nil {
			t.Errorf("a frame passes that is %s", wrong)
		}
	}
	if err := (tally{h: {direct: 4}}).check(5); err == nil {
		t.Error("a lost frame is not noticed")
	}
}

// vxlan returns the packet of VXLAN that carries a frame to a host.
func vxlan(to netip.Addr, frame []byte) []byte {
	packet := lab.EchoReply(broadcast, zeroMAC, unspecifiedIP, to, nil)
	packet[23] = 17
	header := make([]byte, 16)
	copy(header[2:], []byte{0x12, 0xb5}) // port 4789
	return slices.Concat(packet[:34], header, frame)
}
