package etcd

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/store/etcd/etcdtest"
)

// A claimant is a host that shares its claims.
type claimant struct {
	t testing.TB
	*Claims
	tunnel netip.Addr
	stop   func()
}

func newClaimant(t testing.TB, name string, n byte, endpoints ...string) *claimant {
	t.Helper()
	return newClaimantOf(t, &config.Etcd{Endpoints: endpoints, Prefix: "/arpfabric", Host: name}, n)
}

func newClaimantOf(t testing.TB, cfg *config.Etcd, n byte) *claimant {
	t.Helper()
	c := &claimant{t: t, tunnel: netip.AddrFrom4([4]byte{192, 0, 2, n})}
	cfg.Lease = 2 * time.Second // the shortest that etcd grants with its election timeout
	c.Claims = NewClaims(slog.New(slog.DiscardHandler), cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); c.Run(ctx) }()
	c.stop = func() { cancel(); <-ended }
	t.Cleanup(c.stop)
	return c
}

func guestOf(n int) Guest { return Guest{"lab", macOf(n)} }

// claim publishes guests as the claims of the host, each with what it overrules.
func (c *claimant) claim(overrules map[int]uint64) {
	own := map[Guest]Own{}
	for n, revision := range overrules {
		own[guestOf(n)] = Own{c.tunnel, revision}
	}
	c.Publish(own)
}

// expect waits until the host knows the claims of others, as "GUEST HOST TUNNEL".
func (c *claimant) expect(want ...string) map[Guest]Claim {
	c.t.Helper()
	var others map[Guest]Claim
	labtest.Eventually(c.t, fmt.Sprintf("%s knows %q", c.config.Host, want), func() bool {
		var known bool
		others, known = c.Others()
		found := 0
		for guest, one := range others {
			for _, w := range want {
				if w == fmt.Sprintf("%d %s %s", guest.MAC[3], one.Host, one.Tunnel) {
					found++
				}
			}
		}
		return known && found == len(want) && len(others) == len(want)
	})
	return others
}

func TestClaims(t *testing.T) {
	c := etcdtest.Start(t, 1)
	a, b := newClaimant(t, "a", 1, c.Endpoints()...), newClaimant(t, "b", 2, c.Endpoints()...)
	a.claim(map[int]uint64{3: 0, 4: 0})
	b.claim(map[int]uint64{5: 0})
	a.expect("5 b 192.0.2.2")
	others := b.expect("3 a 192.0.2.1", "4 a 192.0.2.1")
	want := "/arpfabric/v1/locations/a/lab/02:00:00:03:54:a8\n192.0.2.1\n"
	if got := c.Ctl("get", "/arpfabric/v1/locations/a/lab/02:00:00:03:54:a8"); got != want {
		t.Errorf("the key of a location:\n%s\nwant\n%s", got, want)
	}

	// A guest moves: b has seen it after a's claim. A claim that has seen nothing does not win.
	b.claim(map[int]uint64{5: 0, 4: 0, 3: others[guestOf(3)].Revision})
	a.expect("5 b 192.0.2.2", "3 b 192.0.2.2")
	b.expect("4 a 192.0.2.1")
	// a's fabric learns that, and has one guest left, which leaves then.
	a.claim(map[int]uint64{4: 0})
	b.claim(map[int]uint64{5: 0, 3: others[guestOf(3)].Revision})
	a.claim(map[int]uint64{})
	b.expect()
}

// TestManyClaims writes more claims than a transaction takes.
func TestManyClaims(t *testing.T) {
	const many = 200
	c := etcdtest.Start(t, 1)
	a, b := newClaimant(t, "a", 1, c.Endpoints()...), newClaimant(t, "b", 2, c.Endpoints()...)
	own := map[int]uint64{}
	for n := range many {
		own[n] = 0
	}
	a.claim(own)
	labtest.Eventually(t, "b knows all guests of a", func() bool {
		others, _ := b.Others()
		return len(others) == many
	})
}

// TestHostDies expects the claims of a host that is gone to end with its lease, but not at once, and a host that comes back
// with old claims not to win over a later move.
func TestHostDies(t *testing.T) {
	c := etcdtest.Start(t, 1)
	p := etcdtest.NewProxy(t, c.Endpoints()[0])
	a, b := newClaimant(t, "a", 1, p.Endpoint), newClaimant(t, "b", 2, c.Endpoints()...)
	a.claim(map[int]uint64{3: 0, 4: 0})
	b.claim(map[int]uint64{})
	b.expect("3 a 192.0.2.1", "4 a 192.0.2.1")
	p.Cut()
	b.expect() // when the lease has ended
	if others, _ := a.Others(); len(others) != 0 {
		t.Errorf("a host without etcd: %v", others)
	}
	b.claim(map[int]uint64{3: 0}) // the guest has moved meanwhile
	labtest.Eventually(t, "b has claimed the guest", func() bool {
		return c.Ctl("get", "--print-value-only", "/arpfabric/v1/locations/b/lab/02:00:00:03:54:a8") != ""
	})
	p.Mend()
	b.expect("4 a 192.0.2.1")
	a.expect("3 b 192.0.2.2")
}

// TestRestartKeepsClaims expects a fabric that is started again to take over its claims, so that others notice nothing.
func TestRestartKeepsClaims(t *testing.T) {
	c := etcdtest.Start(t, 1)
	a, b := newClaimant(t, "a", 1, c.Endpoints()...), newClaimant(t, "b", 2, c.Endpoints()...)
	a.claim(map[int]uint64{3: 0})
	before := b.expect("3 a 192.0.2.1")[guestOf(3)]
	a.stop()
	again := newClaimant(t, "a", 1, c.Endpoints()...)
	again.claim(map[int]uint64{3: 0})
	labtest.Eventually(t, "the claim has the new lease", func() bool {
		others, _ := b.Others()
		now, ok := others[guestOf(3)]
		if !ok {
			t.Fatal("the claim was gone meanwhile")
		}
		return now.lease != before.lease
	})
}

// TestOneMACTwice reports two hosts with the same guest.
func TestOneMACTwice(t *testing.T) {
	c := etcdtest.Start(t, 1)
	hosts := []*claimant{newClaimant(t, "a", 1, c.Endpoints()...), newClaimant(t, "b", 2, c.Endpoints()...)}
	revision := uint64(0)
	for i := range mostMoves + 2 {
		me, other := hosts[i%2], hosts[(i+1)%2]
		me.claim(map[int]uint64{3: revision})
		revision = other.expect(fmt.Sprintf("3 %s %s", me.config.Host, me.tunnel))[guestOf(3)].Revision
		me.expect()
		other.claim(map[int]uint64{}) // its fabric knows better now
	}
	labtest.Eventually(t, "two hosts with one MAC are reported", func() bool {
		found := hosts[0].Findings()["lab"]
		return len(found) == 1 && strings.Contains(found[0], "two hosts have guests with the MAC 02:00:00:03:54:a8: a and b")
	})
}

// TestTwins gives two hosts one name. Both share their guests, and both report it, until one of them has ended.
func TestTwins(t *testing.T) {
	c := etcdtest.Start(t, 1)
	first, b := newClaimant(t, "a", 1, c.Endpoints()...), newClaimant(t, "b", 2, c.Endpoints()...)
	first.claim(map[int]uint64{3: 0, 4: 0})
	b.claim(map[int]uint64{})
	b.expect("3 a 192.0.2.1", "4 a 192.0.2.1")
	second := newClaimant(t, "a", 3, c.Endpoints()...)
	second.claim(map[int]uint64{5: 0})
	b.expect("3 a 192.0.2.1", "4 a 192.0.2.1", "5 a 192.0.2.3")
	first.expect("5 a 192.0.2.3")
	second.expect("3 a 192.0.2.1", "4 a 192.0.2.1")
	for _, host := range []*claimant{first, second} {
		host.expectTwin(true)
	}
	// They don't write the same keys again and again.
	before := b.expect("3 a 192.0.2.1", "4 a 192.0.2.1", "5 a 192.0.2.3")
	c.Ctl("put", "/arpfabric/v1/locations/c/lab/02:00:00:09:54:a8", "192.0.2.9")
	after := b.expect("3 a 192.0.2.1", "4 a 192.0.2.1", "5 a 192.0.2.3", "9 c 192.0.2.9")
	for guest, one := range before {
		if after[guest] != one {
			t.Errorf("%v was %v, is %v", guest, one, after[guest])
		}
	}
	second.claim(map[int]uint64{5: 0, 4: after[guestOf(4)].Revision}) // a guest moves from one to the other
	b.expect("3 a 192.0.2.1", "4 a 192.0.2.3", "5 a 192.0.2.3", "9 c 192.0.2.9")
	first.claim(map[int]uint64{3: 0})
	second.stop()
	first.expectTwin(false)
	b.expect("3 a 192.0.2.1", "9 c 192.0.2.9")
}

// expectTwin waits until the host reports that another one has its name, or no longer.
func (c *claimant) expectTwin(want bool) {
	c.t.Helper()
	labtest.Eventually(c.t, fmt.Sprintf("a twin is reported: %t", want), func() bool {
		found := c.Findings()[""]
		return want == (len(found) == 1 && strings.Contains(found[0], "another arpfabric calls itself a in etcd"))
	})
}
