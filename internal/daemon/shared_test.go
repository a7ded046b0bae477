package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/internal/store/etcd/etcdtest"
)

// beginHost starts the session of a host that shares an etcd with others. more is added to the configuration of etcd.
func beginHost(t *testing.T, c *etcdtest.Cluster, name string, more ...string) *session {
	t.Helper()
	s := &session{t: t, folder: t.TempDir()}
	s.etcd = fmt.Sprintf(", etcd: {endpoints: [%s], host: %s%s}", strings.Join(c.Endpoints(), ", "), name, strings.Join(more, ""))
	s.begin("")
	return s
}

// await waits until this is in force beside the configuration. Revisions are left out.
func (s *session) await(want ...string) {
	s.t.Helper()
	labtest.Eventually(s.t, fmt.Sprintf("%q in force", want), func() bool {
		got := s.inForce()[1:]
		for i := range got {
			got[i], _, _ = strings.Cut(got[i], " store:")
		}
		return strings.Join(got, ", ") == strings.Join(want, ", ")
	})
}

// TestHosts allocates on one host, and expects it to be in force on the other.
func TestHosts(t *testing.T) {
	c := etcdtest.Start(t, 1)
	a, b := beginHost(t, c, "a"), beginHost(t, c, "b")
	web := a.allocate(allocate.Request{Name: "web"})
	b.await("10.239.0.2 is-at 02:00:02:de:54:a8")
	labtest.Eventually(t, "both hosts show the same", func() bool {
		page, err := b.NetworkBindings("lab", api.BindingQuery{Name: "web", Limit: 1})
		return err == nil && len(page.Bindings) == 1 && page.Bindings[0].Revision == web.Revision
	})
	if _, err := b.Allocate(context.Background(), "lab", allocate.Request{Name: "web"}); err == nil {
		t.Error("a name was allocated twice")
	}
	b.allocate(allocate.Request{Name: "short", Expires: time.Now().Add(2 * time.Second)})
	a.await("10.239.0.2 is-at 02:00:02:de:54:a8", "10.239.0.3 is-at 02:00:03:de:54:a8")
	a.await("10.239.0.2 is-at 02:00:02:de:54:a8")
	b.await("10.239.0.2 is-at 02:00:02:de:54:a8")
	_, err := b.FreeBinding(context.Background(), "lab", netip.MustParseAddr("10.239.0.2"), allocate.Precondition{Revision: web.Revision}, store.Caller{})
	labtest.Must(t, err)
	a.await()
	labtest.Eventually(t, "one history", func() bool {
		history, err := a.History(store.HistoryQuery{Network: "lab", Limit: 9})
		return err == nil && len(history) == 4
	})
	a.stop()
	b.stop()
	if text := a.log.String() + b.log.String(); strings.Contains(text, "level=ERROR") || strings.Contains(text, "level=WARN") {
		t.Errorf("log:\n%s", text)
	}
}

// TestManyHosts lets hosts take addresses from one pool at the same time, until it is empty.
func TestManyHosts(t *testing.T) {
	const pool = 253 // of a /24 without the subnet's own address, the broadcast address and the gateway
	c := etcdtest.Start(t, 1)
	var mu sync.Mutex
	owners := map[netip.Addr]string{}
	macs := map[string]netip.Addr{}
	var done sync.WaitGroup
	for i := range 3 {
		host := beginHost(t, c, fmt.Sprint("host", i))
		for range 4 {
			done.Go(func() {
				for {
					one, err := host.Allocate(context.Background(), "lab", allocate.Request{})
					if refusal, ok := err.(*allocate.Refusal); ok && refusal.Cause == allocate.Changed {
						continue // the others were faster, again and again
					}
					if err != nil {
						return
					}
					mu.Lock()
					if other, taken := owners[one.First]; taken {
						t.Errorf("%s was given to %s and %s", one.First, other, one.MAC)
					}
					if other, taken := macs[one.MAC]; taken {
						t.Errorf("%s was given to %s and %s", one.MAC, other, one.First)
					}
					owners[one.First], macs[one.MAC] = one.MAC, one.First
					mu.Unlock()
				}
			})
		}
	}
	done.Wait()
	if len(owners) != pool {
		t.Errorf("%d addresses were given, want %d", len(owners), pool)
	}
}

// TestEtcdIsAway expects guests' bindings to stay in force without etcd, also after a restart.
func TestEtcdIsAway(t *testing.T) {
	c := etcdtest.Start(t, 1)
	a := beginHost(t, c, "a")
	a.allocate(allocate.Request{Name: "web"})
	want := "10.239.0.2 is-at 02:00:02:de:54:a8"
	expectAway := func() {
		t.Helper()
		labtest.Eventually(t, "the status says that etcd is away", func() bool {
			s := a.allocations.status()
			return s.Etcd.Error != "" && s.Etcd.Current != nil && s.Allocations == 1 && len(a.allocations.findings("lab")) == 1
		})
		a.await(want)
		_, err := a.Allocate(context.Background(), "lab", allocate.Request{})
		if err == nil || !strings.Contains(err.Error(), "etcd") {
			t.Errorf("allocating without etcd: %v", err)
		}
	}
	c.KillAll()
	expectAway()
	labtest.Must(t, a.allocations.reload(context.Background(), a.load("")))
	a.await(want)
	a.stop()
	a.begin("")
	expectAway()
	c.Restart(0)
	labtest.Eventually(t, "etcd is used again", func() bool { return len(a.allocations.findings("lab")) == 0 })
	db := a.allocate(allocate.Request{Name: "db"})
	a.await(want, db.First.String()+" is-at "+db.MAC)
}

// TestClockJumps sets the clock of a host ahead. If that is soon repaired, no host loses an allocation.
func TestClockJumps(t *testing.T) {
	c := etcdtest.Start(t, 1)
	a, b := beginHost(t, c, "a"), beginHost(t, c, "b")
	a.allocate(allocate.Request{Expires: time.Now().Add(time.Hour)})
	want := "10.239.0.2 is-at 02:00:02:de:54:a8"
	b.await(want)
	for _, step := range []struct {
		pass, set time.Duration
		isFreed   bool
	}{{0, 24 * time.Hour, false}, {time.Minute, 0, false}, {0, -24 * time.Hour, false}, {0, 24 * time.Hour, false}, {jumpPatience, 0, true}} {
		b.allocations.clock.pass(step.pass, step.set)
		b.allocations.expire(t.Context())
		if step.isFreed {
			a.await()
			b.await()
			continue
		}
		b.await(want)
		next := b.allocate(allocate.Request{}) // which a has after all that b has done before
		a.await(want, next.First.String()+" is-at "+next.MAC)
		b.free(next)
		a.await(want)
	}
}

// TestHostThatMayOnlyRead has a user in etcd that may not write allocations. An allocation expires there all the same, and
// that nobody has freed it is no error.
func TestHostThatMayOnlyRead(t *testing.T) {
	c := etcdtest.Start(t, 1)
	a := beginHost(t, c, "a")
	a.allocate(allocate.Request{Expires: time.Now().Add(time.Hour)})
	a.stop()
	for _, line := range []string{
		"user add root:root", "user grant-role root root", "role add reader", "role grant-permission --prefix=true reader read /arpfabric/v1/",
		"user add reader:secret", "user grant-role reader reader", "auth enable",
	} {
		c.Ctl(strings.Fields(line)...)
	}
	b := beginHost(t, c, "b", ", user: reader, password_file: "+labtest.TempFile(t, "password", "secret"))
	b.await("10.239.0.2 is-at 02:00:02:de:54:a8")
	_, err := b.Allocate(t.Context(), "lab", allocate.Request{})
	if err == nil || !strings.HasPrefix(err.Error(), "this host may only read allocations: allocate and free on another host") {
		t.Errorf("allocating: %v", err)
	}
	b.allocations.clock.pass(2*time.Hour, 0)
	b.allocations.expire(t.Context())
	b.await()
	labtest.Eventually(t, "it was tried to free the address", func() bool {
		b.allocations.mu.Lock()
		defer b.allocations.mu.Unlock()
		return !b.allocations.failedAt.IsZero()
	})
	if findings := b.allocations.findings("lab"); findings != nil {
		t.Errorf("findings: %q", findings)
	}
	b.stop()
	if strings.Contains(b.log.String(), "level=ERROR") {
		t.Errorf("log:\n%s", b.log)
	}
}
