package fabric_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
)

// TestRateLimit checks that the kernel limits the rate of one guest's ARP and counts the dropped frames, and that the
// other guests are answered meanwhile.
func TestRateLimit(t *testing.T) {
	const limit, frames = 100, 20_000
	s := build(t, onBridge)
	fabric := start(t, network(s.attach, "policy: {rate_limit: 100}"))
	request := s.app.request(gatewayAddr).Frame()
	begin, before := time.Now(), received(t, s.port)
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		for range frames {
			s.app.Send(request)
		}
	}()
	asked := 0
	for isFlooding := true; isFlooding; asked++ {
		target := netip.AddrFrom4([4]byte{10, 239, 0, byte(firstOfMany + asked%64)})
		s.db.send(t, s.db.request(target).Frame())
		labtest.Eventually(t, "db is answered", func() bool { return len(s.db.answers()) == asked+1 })
		select {
		case <-flooded:
			isFlooding = false
		case <-time.After(time.Second / limit): // db keeps to the limit
		}
	}
	labtest.Eventually(t, "all frames of app that have arrived are counted", func() bool {
		c := fabric.counts(s.port)
		return c[responder.Answered]+c[responder.RateLimited] == received(t, s.port)-before
	})
	// The limit refills over time, up to the frames of one second.
	most := limit + limit*(1+int(time.Since(begin)/time.Second))
	answered := fabric.counts(s.port)[responder.Answered]
	if answered < limit || answered > uint64(most) {
		t.Errorf("%d of %d frames were answered, want %d to %d", answered, frames, limit, most)
	}
	labtest.Eventually(t, "the answers arrive", func() bool { return uint64(len(s.app.answers())) == answered })
	fabric.expectCounts(t, "vnet2", counts{responder.Answered: uint64(asked)}, "db has asked")
}

// TestUplinkStorm checks that no request of a guest is lost while an uplink brings an ARP storm, because the kernel
// limits the uplink's rate.
func TestUplinkStorm(t *testing.T) {
	if testing.Short() {
		t.Skip("a storm, in short: an emulated machine sends too slowly for one")
	}
	const limit, frames = 10_000, 60_000
	s := build(t, onBridge)
	outside := addGuestIn(t, bridgeName, 4, "outside")
	fabric := start(t, network("{bridge: br0, uplinks: [vnet4]}"))
	request := outside.request(gatewayAddr).Frame()
	begin := time.Now()
	for range frames {
		outside.Send(request)
	}
	s.app.ask(t)
	most := uint64(limit + limit*(1+int(time.Since(begin)/time.Second)))
	if answered := fabric.counts("vnet4")[responder.Answered]; answered == 0 || answered > most {
		t.Errorf("%d of %d frames were answered, want at most %d", answered, frames, most)
	}
}

// TestRefusedFramesAreCounted checks that every frame that the allow-list refuses is counted, although the fabric sees
// only samples.
func TestRefusedFramesAreCounted(t *testing.T) {
	const frames = 1000
	s := build(t, onBridge)
	fabric := start(t, network(s.attach))
	forged := slices.Clone(mark(s.app, s.db, 1))
	copy(forged[26:30], dbAddr.AsSlice()) // the source address
	for range frames {
		s.app.send(t, forged)
	}
	refused := func(port string) (n uint64) {
		for _, c := range fabric.Counts() {
			if c.Port == port {
				n = c.Refused
			}
		}
		return n
	}
	labtest.Eventually(t, "all are counted", func() bool { return refused(s.port) == frames })
	labtest.Eventually(t, "there are samples", func() bool { return fabric.counts(s.port)[responder.SpoofedSource] > 0 })
	if n := fabric.counts(s.port)[responder.SpoofedSource]; n >= frames/2 {
		t.Errorf("%d of %d frames are samples", n, frames)
	}
	if n := refused("vnet2"); n != 0 {
		t.Errorf("%d frames of db were refused", n)
	}
	s.expectSilence(t, s.db, s.idle)
}
