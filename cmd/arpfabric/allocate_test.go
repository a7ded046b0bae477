package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"golang.org/x/sys/unix"
)

// packetTo returns an IPv4 packet to another guest. Each one is different.
func (g *guest) packetTo(to *guest, number int) []byte {
	return lab.EchoReply(to.MAC, g.MAC, g.Addr.Addr(), to.Addr.Addr(), fmt.Appendf(nil, "%026d", number))
}

func (g *guest) hasReceived(frame []byte) bool {
	for _, seen := range g.Frames() {
		if bytes.Equal(seen.Frame, frame) {
			return true
		}
	}
	return false
}

// A tenant is a guest of the stage without a binding in the configuration.
type tenant struct {
	*guest
	t       *testing.T
	app     *guest
	client  *api.Client
	packets int
}

func (g *tenant) refused() uint64 {
	g.t.Helper()
	ports, err := g.client.Ports(context.Background())
	labtest.Must(g.t, err)
	var n uint64
	for _, p := range ports {
		n += p.Refused
	}
	return n
}

// expect checks in both directions whether IPv4 passes, and whether the app's requests for the tenant are answered.
func (g *tenant) expect(passes bool) {
	g.t.Helper()
	for _, way := range []struct{ from, to *guest }{{g.guest, g.app}, {g.app, g.guest}} {
		g.packets++
		frame, before := way.from.packetTo(way.to, g.packets), g.refused()
		labtest.Must(g.t, way.from.Send(frame))
		labtest.Eventually(g.t, "a packet arrives or is refused", func() bool {
			return way.to.hasReceived(frame) || g.refused() > before
		})
		if got := way.to.hasReceived(frame); got != passes {
			g.t.Errorf("IPv4 from %s to %s arrives: %v", way.from.Name, way.to.Name, got)
		}
	}
	before := g.answers()
	labtest.Must(g.t, g.app.Send(g.app.request(g.Addr.Addr().String())))
	if passes {
		labtest.Eventually(g.t, "app is answered", func() bool { return g.answers() > before })
		return
	}
	g.app.expectAnswered(g.t) // for the gateway, after the tenant
	if g.answers() > before {
		g.t.Errorf("app is answered for %s", g.Addr)
	}
}

// answers counts the answers that the app has got for the tenant.
func (g *tenant) answers() int { return len(answersFor(g.app, g.Addr.Addr())) }

// TestAllocatedGuest allocates the address of a guest, kills the fabric right after the acknowledgement, starts it again,
// and frees the address: the guest can talk exactly while it has its address.
func TestAllocatedGuest(t *testing.T) {
	s := newStage(t)
	path := labtest.TempFile(t, "arpfabric.yaml", onBridge("store: {folder: "+filepath.Join(t.TempDir(), "store")+"}\n"))
	p := startWith(t, path)
	client := api.NewClient(config.DefaultSocket)
	labtest.Eventually(t, "the fabric answers", func() bool { _, err := client.Status(context.Background()); return err == nil })
	web := &tenant{guest: addGuest(t, 3, "web"), t: t, app: s.app, client: client}
	p.expectLog(t, "port=vnet3")
	web.expect(false)

	b, err := client.Allocate(context.Background(), "lab", api.NewAllocation{
		Address: web.Addr.Addr().String(), AllocationSettings: api.AllocationSettings{MAC: web.MAC.String(), Port: "vnet3"},
	})
	labtest.Must(t, err)
	web.expect(true)
	addr := netip.MustParseAddr("10.239.0.77")
	_, err = client.Allocate(context.Background(), "lab", api.NewAllocation{Address: addr.String()})
	labtest.Must(t, err)
	labtest.Must(t, p.Process.Signal(unix.SIGKILL))
	p.wait(t)

	startWith(t, path)
	labtest.Eventually(t, "the fabric answers", func() bool { _, err := client.Status(context.Background()); return err == nil })
	if found, err := client.LookupAddress(context.Background(), addr); err != nil || len(found) != 1 {
		t.Errorf("an acknowledged allocation is lost: %v, %v", found, err)
	}
	web.expect(true)

	_, err = client.FreeBinding(context.Background(), "lab", b.First, b.Revision)
	labtest.Must(t, err)
	web.expect(false)
}

// answersFor returns the answers that a guest has got for an address.
func answersFor(g *guest, addr netip.Addr) (all [][]byte) {
	for _, seen := range g.Frames() {
		if ip, ok := netip.AddrFromSlice(seen.Frame[min(28, len(seen.Frame)):min(32, len(seen.Frame))]); ok && !seen.Sent && ip == addr {
			all = append(all, seen.Frame)
		}
	}
	return all
}

// TestCurl plays the calls of curl in docs/allocation.md, with a fabric.
func TestCurl(t *testing.T) {
	labtest.NeedProgram(t, "curl")
	newStage(t)
	startRun(t, onBridge("    subnet: 10.239.0.0/24\n    gateway: 10.239.0.1\nstore: {folder: "+filepath.Join(t.TempDir(), "store")+"}\n"))
	client := api.NewClient(config.DefaultSocket)
	labtest.Eventually(t, "the fabric answers", func() bool { _, err := client.Status(context.Background()); return err == nil })
	r := reader{folder: t.TempDir()}
	played := 0
	const page = "../../docs/allocation.md"
	for _, b := range blocksOf(t, page) {
		if b.info == "shell-session" {
			b.info = "console"
			played++
		} else if b.info != "sh api" {
			continue
		}
		if err := r.read(b); err != nil {
			t.Errorf("%s:%d: %v", page, b.line, err)
		}
	}
	if played == 0 {
		t.Error("no call is on the page")
	}
}

// TestAllocateFlags checks that wrong values are mistakes in the command line, and that the message says what is wanted.
func TestAllocateFlags(t *testing.T) {
	for _, tt := range []struct{ flag, value, want string }{
		{"ttl", "0s", "--ttl takes a duration longer than 0, such as 90s, 30m or 24h, not 0s"},
		{"ttl", "-1s", "--ttl takes a duration longer than 0, such as 90s, 30m or 24h, not -1s"},
		{"ttl", "1d", `invalid argument "1d" for "--ttl" flag: want a duration, such as 90s, 30m or 24h`},
		{"address", "foo", `--address takes an IPv4 address, not "foo"`},
		{"address", "fe80::1", `--address takes an IPv4 address, not "fe80::1"`},
		{"mac", "zz", `--mac takes a MAC, such as 02:00:0a:de:54:a8, not "zz"`},
		{"from", "foo", `--from takes a range, such as 10.239.0.16-10.239.0.31, or a prefix: "foo" is not an IPv4 address`},
	} {
		root := newRoot()
		root.SetArgs([]string{"allocate", "--" + tt.flag, tt.value})
		err := root.Execute()
		if _, ok := errors.AsType[usageError](err); !ok || err.Error() != tt.want {
			t.Errorf("--%s %s: %v", tt.flag, tt.value, err)
		}
	}
}
