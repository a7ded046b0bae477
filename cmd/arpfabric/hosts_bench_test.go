package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/datapath/bpf"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// BenchmarkMigration moves a guest between two hosts while a guest of a third one pings it, and reports how long the traffic
// takes to follow, from the guest's RARP on the new host. The old host may still have a port for it then, as in a live migration.
func BenchmarkMigration(b *testing.B) {
	for _, datapath := range []string{"kernel", "user"} {
		for name, isLive := range map[string]bool{"live": true, "cold": false} {
			b.Run(datapath+"/"+name, func(b *testing.B) {
				if datapath == "kernel" && len(bpf.Missing()) > 0 {
					b.Skip("this user cannot have the datapath kernel")
				}
				s := newHostsStage(b, 3, 1)
				for _, h := range s.hosts {
					h.useDatapath(datapath)
					h.start()
				}
				migrations(b, s, isLive)
			})
		}
	}
}

func migrations(b *testing.B, s *hostsStage, isLive bool) {
	from := s.hosts[2].addGuest("c", 3, netip.MustParsePrefix("10.239.0.103/24"))
	mover := s.hosts[0].addGuest("b", 2, netip.Prefix{}) // without an address, it is as silent as a machine that does not run
	at := []*overlayGuest{mover, mover}
	if isLive {
		at[1] = s.hosts[1].addGuest("b-too", 2, netip.Prefix{}) // the same machine, where it runs next
	}
	pinger, err := from.StartPinger(netip.MustParseAddr("10.239.0.102"), time.Millisecond)
	labtest.Must(b, err)
	defer pinger.Stop()
	mover.announce(b)
	var all []time.Duration
	for n := range b.N {
		next := (n + 1) % 2
		if isLive {
			time.Sleep(pauseOfMoves)
		} else {
			mover.moveTo(s.hosts[next])
		}
		all = append(all, at[next].announce(b))
	}
	slices.Sort(all)
	b.ReportMetric(milliseconds(all[len(all)/2]), "p50-ms")
	b.ReportMetric(milliseconds(all[(len(all)-1)*99/100]), "p99-ms")
	b.ReportMetric(milliseconds(all[len(all)-1]), "max-ms")
}

// pauseOfMoves keeps a host from holding the two guests for different ones with one MAC: it accepts four moves in ten seconds.
const pauseOfMoves = 1600 * time.Millisecond

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// useDatapath adds a datapath to the host's configuration.
func (h *overlayHost) useDatapath(datapath string) {
	h.t.Helper()
	text, err := os.ReadFile(h.configuration)
	labtest.Must(h.t, err)
	labtest.Write(h.t, h.configuration, string(text)+"datapath: "+datapath+"\n")
}

// An overlayGuest is a guest of one of the hosts.
type overlayGuest struct {
	*lab.Guest
	host *overlayHost
}

// addGuest makes guest number n, behind port vnet<n>, until the test ends.
func (h *overlayHost) addGuest(name string, n int, addr netip.Prefix) *overlayGuest {
	h.t.Helper()
	g := &overlayGuest{host: h}
	h.awaitPort(fmt.Sprint("vnet", n), func() (err error) {
		g.Guest, err = lab.AddGuest(lab.GuestConfig{
			Name: name, Port: fmt.Sprint("vnet", n), Bridge: "br0", MAC: net.HardwareAddr{2, 0, byte(5 + n), 0xde, 0x54, 0xa8},
			Addr: addr, MTU: 1450,
		})
		return err
	})
	h.t.Cleanup(func() { g.host.Do(g.Delete) })
	return g
}

// moveTo moves the guest to another host.
func (g *overlayGuest) moveTo(h *overlayHost) {
	h.t.Helper()
	labtest.Must(h.t, g.host.Do(g.Unplug))
	g.host = h
	h.awaitPort(g.Port, g.Plug)
}

// awaitPort makes a port by plug, and waits until the fabric guards it.
func (h *overlayHost) awaitPort(port string, plug func() error) {
	h.t.Helper()
	attached := func() int {
		return strings.Count(h.output.String(), "msg=\"port attached\" network=lab port="+port)
	}
	before := attached()
	labtest.Must(h.t, h.Do(plug))
	labtest.Eventually(h.t, h.Name+" guards "+port, func() bool { return attached() > before })
}

// announce sends RARP, as QEMU does after a migration, and returns how long it takes until the guest receives a packet.
func (g *overlayGuest) announce(t testing.TB) time.Duration {
	t.Helper()
	capture, err := g.StartCapture()
	labtest.Must(t, err)
	defer capture.Close()
	frame := make([]byte, responder.MinFrameLen)
	responder.WriteRARP(frame, registry.MAC(g.MAC))
	start := time.Now()
	labtest.Must(t, capture.Send(frame))
	ctx, cancel := context.WithTimeout(context.Background(), labtest.Patience)
	defer cancel()
	labtest.Must(t, capture.Wait(ctx, func(seen []lab.Seen) bool {
		return slices.ContainsFunc(seen, func(f lab.Seen) bool { return !f.Sent && f.Frame[12] == 0x08 && f.Frame[13] == 0x00 })
	}))
	return time.Since(start)
}
