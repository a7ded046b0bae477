package etcd

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/internal/store/etcd/etcdtest"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

// A host is one of many with a store in the same etcd.
type host struct {
	t testing.TB
	*Store
	folder string
	config *config.Etcd
	log    *syncedLog
}

// A syncedLog takes the log of a store, whose goroutines write to it.
type syncedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *syncedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *syncedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newHost(t testing.TB, name string, endpoints ...string) *host {
	t.Helper()
	return newHostOf(t, &config.Etcd{Endpoints: endpoints, Prefix: "/arpfabric", Host: name})
}

func newHostOf(t testing.TB, c *config.Etcd) *host {
	t.Helper()
	h := &host{t: t, folder: t.TempDir(), config: c, log: &syncedLog{}}
	h.open()
	t.Cleanup(func() { h.Close() })
	return h
}

func (h *host) open() { h.Store = Open(slog.New(slog.NewTextHandler(h.log, nil)), h.config, h.folder) }

// reopen closes the store, and opens it again, as a restart does.
func (h *host) reopen() {
	h.t.Helper()
	labtest.Must(h.t, h.Close())
	h.open()
}

var morning = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

func addr(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 239 + byte(n>>16), byte(n >> 8), byte(n)})
}

func macOf(n int) registry.MAC {
	return registry.MAC{2, byte(n >> 16), byte(n >> 8), byte(n), 0x54, 0xa8}
}

func allocation(n int, name string) store.Allocation {
	return store.Allocation{Network: "lab", Address: addr(n), MAC: macOf(n), Name: name}
}

func change(kind store.Kind, a store.Allocation) store.Change {
	return store.Change{Kind: kind, Allocation: a, At: morning, By: store.Caller{UID: 1000, PID: 7}}
}

func (h *host) commit(c store.Change) uint64 {
	h.t.Helper()
	changes := []store.Change{c}
	labtest.Must(h.t, h.Commit(changes))
	return changes[0].Revision
}

// all returns the allocations of the table, without their revisions.
func (h *host) all() []string {
	all := []string{}
	for a := range h.Table().All("lab") {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s", a.Address, a.MAC, a.Name)))
	}
	return all
}

// expect waits until the host has received these allocations.
func (h *host) expect(want ...string) {
	h.t.Helper()
	want = append([]string{}, want...)
	labtest.Eventually(h.t, fmt.Sprintf("%s has %q", h.config.Host, want), func() bool {
		h.Receive()
		return cmp.Equal(want, h.all())
	})
}

// expectError waits until the store says that it can't be used, for a reason.
func (h *host) expectError(text string) {
	h.t.Helper()
	labtest.Eventually(h.t, h.config.Host+" reports "+text, func() bool {
		err := h.Health().Err
		return err != nil && strings.Contains(err.Error(), text)
	})
}

func (h *host) expectHealthy() {
	h.t.Helper()
	labtest.Eventually(h.t, h.config.Host+" reaches etcd", func() bool { return h.Health().Err == nil })
}

// TestKeys compares the keys with what an operator should see in etcdctl.
func TestKeys(t *testing.T) {
	c := etcdtest.Start(t, 1)
	h := newHost(t, "host1", c.Endpoints()...)
	web := allocation(3, "web")
	web.Port, web.Expires = "vnet3", morning.Add(time.Hour)
	h.commit(change(store.Allocate, web))
	h.commit(change(store.Allocate, allocation(4, "")))
	h.commit(change(store.Free, allocation(4, "")))
	moved := web
	moved.MAC, moved.Name = macOf(9), "db"
	modify := change(store.Modify, moved)
	modify.Before = &web
	h.commit(modify)
	want := `/arpfabric/v1/addresses/lab/10.239.0.3
allocate lab 10.239.0.3 02:00:00:09:54:a8 name=db port=vnet3 expires=2026-03-02T09:00:00Z
/arpfabric/v1/addresses/lab/10.239.0.4
held lab 10.239.0.4 02:00:00:04:54:a8 at=2026-03-02T08:00:00Z
/arpfabric/v1/macs/lab/02:00:00:09:54:a8/10.239.0.3
10.239.0.3
/arpfabric/v1/names/lab/db
10.239.0.3
`
	got := c.Ctl("get", "--prefix", "/arpfabric/v1/addresses/") + c.Ctl("get", "--prefix", "/arpfabric/v1/macs/") +
		c.Ctl("get", "--prefix", "/arpfabric/v1/names/")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got)\n%s", diff)
	}
	var kinds []store.Kind
	history, err := h.History(store.HistoryQuery{Network: "lab", Limit: 3})
	labtest.Must(t, err)
	for _, one := range history {
		kinds = append(kinds, one.Kind)
	}
	if diff := cmp.Diff([]store.Kind{store.Allocate, store.Free, store.Modify}, kinds); diff != "" {
		t.Errorf("history (-want +got)\n%s", diff)
	}
	older, err := h.History(store.HistoryQuery{Before: history[1].Revision, Limit: 9})
	labtest.Must(t, err)
	if len(older) != 2 || older[0].Address != web.Address || older[0].By.UID != 1000 {
		t.Errorf("history before %d: %+v", history[1].Revision, older)
	}
}

// TestConflicts lets two hosts decide by tables that are behind.
func TestConflicts(t *testing.T) {
	c := etcdtest.Start(t, 1)
	web := allocation(3, "web")
	for _, test := range []struct {
		name          string
		before        []store.Change
		first, second store.Change
	}{
		{"one address", nil, change(store.Allocate, web), change(store.Allocate, store.Allocation{Network: "lab", Address: addr(3), MAC: macOf(8)})},
		{"one MAC", nil, change(store.Allocate, web), change(store.Allocate, store.Allocation{Network: "lab", Address: addr(5), MAC: macOf(3)})},
		{"one name", nil, change(store.Allocate, web), change(store.Allocate, allocation(6, "web"))},
		{"freed twice", []store.Change{change(store.Allocate, web)}, change(store.Free, web), change(store.Free, web)},
		{"freed and expired", []store.Change{change(store.Allocate, web)}, change(store.Free, web), store.Change{Kind: store.Expire, Allocation: web, At: morning}},
		{"held", []store.Change{change(store.Allocate, web)}, change(store.Free, web), change(store.Allocate, web)},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.Ctl("del", "--prefix", "/arpfabric/")
			a, b := newHost(t, "a", c.Endpoints()...), newHost(t, "b", c.Endpoints()...)
			for _, one := range test.before {
				a.commit(one)
				b.expect(a.all()...)
			}
			a.commit(test.first)
			if err := b.Commit([]store.Change{test.second}); !errors.Is(err, store.ErrConflict) {
				t.Fatalf("the second change: %v, want a conflict", err)
			}
			if diff := cmp.Diff(a.all(), b.all()); diff != "" {
				t.Errorf("after the conflict, the table is behind (-first +second)\n%s", diff)
			}
			b.commit(change(store.Allocate, allocation(7, "other"))) // conflicts with nothing
			a.expect(b.all()...)
		})
	}
}

// TestDeletedKey expects a key that an operator deletes to be gone, and not to come back by a change.
func TestDeletedKey(t *testing.T) {
	c := etcdtest.Start(t, 1)
	h := newHost(t, "host1", c.Endpoints()...)
	web := allocation(3, "web")
	h.commit(change(store.Allocate, web))
	h.commit(change(store.Allocate, allocation(4, "")))
	c.Ctl("del", "/arpfabric/v1/addresses/lab/10.239.0.3")
	if err := h.Commit([]store.Change{change(store.Free, web)}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("freeing a deleted allocation: %v", err)
	}
	h.expect("10.239.0.4 02:00:00:04:54:a8")
	c.Ctl("put", "/arpfabric/v1/addresses/lab/10.239.0.9", "allocate lab 10.239.0.8 02:00:00:09:54:a8")
	c.Ctl("put", "/arpfabric/v1/addresses/lab/10.239.0.5", "allocate lab 10.239.0.5 02:00:00:05:54:a8 name=hand")
	h.expect("10.239.0.4 02:00:00:04:54:a8", "10.239.0.5 02:00:00:05:54:a8 hand")
	if !strings.Contains(h.log.String(), "its value is about 10.239.0.8") {
		t.Errorf("no word of the wrong value:\n%s", h.log)
	}
}

// TestCompaction cuts a host off while the changes that it misses are compacted away.
func TestCompaction(t *testing.T) {
	c := etcdtest.Start(t, 1)
	p := etcdtest.NewProxy(t, c.Endpoints()[0])
	a, b := newHost(t, "a", c.Endpoints()...), newHost(t, "b", p.Endpoint)
	a.commit(change(store.Allocate, allocation(3, "gone")))
	b.expect(a.all()...)
	p.Cut()
	a.commit(change(store.Free, allocation(3, "gone")))
	last := a.commit(change(store.Allocate, allocation(4, "new")))
	c.Ctl("compact", fmt.Sprint(last))
	b.expectError("etcd")
	if err := b.Commit([]store.Change{change(store.Allocate, allocation(5, ""))}); err == nil {
		t.Error("a host that is cut off has allocated")
	}
	p.Mend()
	b.expect(a.all()...)
	b.expectHealthy()
	b.commit(change(store.Allocate, allocation(5, "")))
	a.expect(b.all()...)
}

// TestLaggingWatch delays all that etcd sends to a host, until etcd does not have it any more.
func TestLaggingWatch(t *testing.T) {
	const many = 2000 // more than etcd keeps ready for a watch
	c := etcdtest.Start(t, 1)
	p := etcdtest.NewProxy(t, c.Endpoints()[0])
	a, b := newHost(t, "a", c.Endpoints()...), newHost(t, "b", p.Endpoint)
	a.commit(change(store.Allocate, allocation(1, "")))
	b.expect(a.all()...)
	p.Stall()
	var puts errgroup.Group
	puts.SetLimit(100)
	for n := range many {
		puts.Go(func() error {
			_, err := a.client.Put(t.Context(), a.keys.address("lab", addr(n+2)), store.FormatState(change(store.Allocate, allocation(n+2, ""))))
			return err
		})
	}
	labtest.Must(t, puts.Wait())
	last := a.commit(change(store.Free, allocation(1, "")))
	c.Ctl("compact", fmt.Sprint(last))
	p.Resume()
	labtest.Eventually(t, "the host has read everything again", func() bool {
		b.inbox.mu.Lock()
		defer b.inbox.mu.Unlock()
		return slices.ContainsFunc(b.inbox.updates, func(u update) bool { return u.all != nil })
	})
	b.expect(a.all()...)
	b.expectHealthy()
	b.commit(change(store.Allocate, allocation(many+2, "")))
	a.expect(b.all()...)
}

// TestMembersDie kills the leader, then most members, while two hosts allocate all the time.
func TestMembersDie(t *testing.T) {
	const each = 60
	c := etcdtest.Start(t, 3)
	hosts := []*host{newHost(t, "a", c.Endpoints()...), newHost(t, "b", c.Endpoints()...)}
	var done sync.WaitGroup
	acknowledged := make([][]store.Allocation, len(hosts))
	progress := make(chan int, len(hosts)*each)
	for i, h := range hosts {
		done.Go(func() {
			for len(acknowledged[i]) < each {
				h.Receive()
				n := 2
				for ; ; n++ { // the next free address: the hosts want the same ones
					if _, taken := h.Table().Get("lab", addr(n)); !taken {
						break
					}
				}
				one := allocation(n, "")
				one.MAC[5] = byte(i)
				if h.Commit([]store.Change{change(store.Allocate, one)}) == nil {
					acknowledged[i] = append(acknowledged[i], one)
					progress <- 1
				} else if h.Health().Err != nil {
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	wait := func(n int) {
		for range n {
			<-progress
		}
	}
	wait(each / 2)
	leader := c.Leader()
	c.Kill(leader)
	wait(each / 2)
	c.Restart(leader)
	c.Kill((leader + 1) % 3)
	c.Kill((leader + 2) % 3) // no majority: everything stops
	c.Restart((leader + 1) % 3)
	c.Restart((leader + 2) % 3)
	done.Wait()
	owners := map[netip.Addr]registry.MAC{}
	for i := range hosts {
		for _, one := range acknowledged[i] {
			if other, taken := owners[one.Address]; taken {
				t.Errorf("%s was given to %s and %s", one.Address, other, one.MAC)
			}
			owners[one.Address] = one.MAC
		}
	}
	for address, mac := range owners {
		for _, h := range hosts {
			// More may be there than were acknowledged, so that their number tells nothing.
			labtest.Eventually(t, fmt.Sprintf("%s has the allocation of %s to %s", h.config.Host, address, mac), func() bool {
				h.Receive()
				now, ok := h.Table().Get("lab", address)
				return ok && now.MAC == mac
			})
		}
	}
}

// TestStartWithoutEtcd starts from the snapshot.
func TestStartWithoutEtcd(t *testing.T) {
	c := etcdtest.Start(t, 1)
	h := newHost(t, "host1", c.Endpoints()...)
	h.commit(change(store.Allocate, allocation(3, "web")))
	h.commit(change(store.Allocate, allocation(4, "")))
	h.commit(change(store.Free, allocation(4, "")))
	labtest.Must(t, h.Close())
	c.KillAll()
	h.open()
	if diff := cmp.Diff([]string{"10.239.0.3 02:00:00:03:54:a8 web"}, h.all()); diff != "" {
		t.Errorf("from the snapshot (-want +got)\n%s", diff)
	}
	if _, isHeld := h.Table().Held("lab", addr(4)); !isHeld {
		t.Error("the snapshot has no held address")
	}
	h.expectError("etcd")
	if err := h.Commit([]store.Change{change(store.Allocate, allocation(5, ""))}); err == nil || !strings.Contains(err.Error(), "etcd") {
		t.Errorf("allocating without etcd: %v", err)
	}
	if current := h.Health().Current; current.IsZero() || time.Since(current) > time.Hour {
		t.Errorf("current: %v", current)
	}
	c.Restart(0)
	h.expectHealthy()
	h.commit(change(store.Allocate, allocation(5, "")))

	path := filepath.Join(h.folder, snapshotName)
	for _, test := range []struct{ name, from, to, want string }{
		{"damaged", "02:00:00:03:54:a8", "02:00:00:04:54:a8", "is damaged"},
		{"cut off", sumHeader, "", "is damaged"},
		{"another prefix", "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			labtest.Must(t, h.Close())
			c.KillAll()
			data, err := os.ReadFile(path)
			labtest.Must(t, err)
			labtest.Write(t, path, strings.Replace(string(data), test.from, test.to, 1))
			before := h.config
			if test.want == "" {
				other := *h.config
				other.Prefix = "/other"
				h.config = &other
			}
			h.open()
			if len(h.all()) > 0 || !strings.Contains(h.log.String(), test.want) {
				t.Errorf("from that snapshot: %q, log\n%s", h.all(), h.log)
			}
			h.config = before
			c.Restart(0)
			h.reopen()
			h.expect("10.239.0.3 02:00:00:03:54:a8 web", "10.239.0.5 02:00:00:05:54:a8")
		})
	}
}

// TestEmptied expects a host not to believe that etcd has lost everything.
func TestEmptied(t *testing.T) {
	c := etcdtest.Start(t, 1)
	h := newHost(t, "host1", c.Endpoints()...)
	h.commit(change(store.Allocate, allocation(3, "web")))
	want := h.all()
	backup := c.Ctl("get", "--print-value-only", "/arpfabric/v1/addresses/lab/10.239.0.3")

	t.Run("deleted", func(t *testing.T) {
		c.Ctl("del", "--prefix", "/arpfabric/")
		h.expectError("restore the keys, or set store.etcd.allow_empty")
		h.Receive()
		if diff := cmp.Diff(want, h.all()); diff != "" {
			t.Errorf("believed (-want +got)\n%s", diff)
		}
		if err := h.Commit([]store.Change{change(store.Allocate, allocation(5, ""))}); err == nil {
			t.Error("allocated in an etcd that is not believed")
		}
		h.reopen()
		h.expectError("restore the keys")
		h.expect(want...)
		c.Ctl("put", "/arpfabric/v1/addresses/lab/10.239.0.3", strings.TrimSpace(backup))
		h.expectHealthy()
		h.expect(want...)
	})
	t.Run("wiped", func(t *testing.T) {
		c.KillAll()
		c.Wipe()
		c.Restart(0)
		h.expectError("restore the keys")
		h.expect(want...)
	})
	t.Run("allowed", func(t *testing.T) {
		allowed := *h.config
		allowed.AllowEmpty = true
		h.config = &allowed
		h.reopen()
		h.expect()
	})
}

// TestRestored gives a host an etcd that has less than it had, as after the restore of a backup.
func TestRestored(t *testing.T) {
	c := etcdtest.Start(t, 1)
	h := newHost(t, "host1", c.Endpoints()...)
	for n := range 5 {
		h.commit(change(store.Allocate, allocation(n+3, "")))
	}
	c.KillAll()
	c.Wipe()
	c.Restart(0)
	c.Ctl("put", "/arpfabric/v1/addresses/lab/10.239.0.3", "allocate lab 10.239.0.3 02:00:00:03:54:a8")
	h.expect("10.239.0.3 02:00:00:03:54:a8")
	h.expectHealthy()
	h.commit(change(store.Allocate, allocation(4, "")))
}

// TestClocks frees addresses on hosts whose clock is wrong. Another host holds them by its own clock.
func TestClocks(t *testing.T) {
	c := etcdtest.Start(t, 1)
	a, b := newHost(t, "a", c.Endpoints()...), newHost(t, "b", c.Endpoints()...)
	for n, wrong := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		a.commit(change(store.Allocate, allocation(3+n, "")))
		free := change(store.Free, allocation(3+n, ""))
		free.At = time.Now().Add(wrong)
		a.commit(free)
		labtest.Eventually(t, "the other host knows it", func() bool { b.Receive(); _, isHeld := b.Table().Held("lab", addr(3+n)); return isHeld })
		if h, _ := b.Table().Held("lab", addr(3+n)); time.Since(h.Since).Abs() > time.Hour {
			t.Errorf("%s is held since %v", addr(3+n), h.Since)
		}
	}
	b.reopen()
	if h, isHeld := b.Table().Held("lab", addr(4)); !isHeld || time.Until(h.Since) > time.Hour {
		t.Errorf("after a restart, %s is held since %v", addr(4), h.Since)
	}
}

// TestHistoryIsKept deletes old changes, but not the last ones: they may be of a host whose clock is wrong.
func TestHistoryIsKept(t *testing.T) {
	c := etcdtest.Start(t, 1)
	h := newHost(t, "a", c.Endpoints()...)
	h.expectHealthy()
	add := func(n int, at time.Time) {
		t.Helper()
		var puts []clientv3.Op
		for i := range n {
			key := h.keys.change("lab", "a", at.Add(time.Duration(i)))
			puts = append(puts, clientv3.OpPut(key, store.FormatChange(change(store.Allocate, allocation(3, "")))))
		}
		for some := range slices.Chunk(puts, 100) {
			_, err := h.client.Txn(t.Context()).Then(some...).Commit()
			labtest.Must(t, err)
		}
	}
	expect := func(want int) {
		t.Helper()
		h.follower.cleanHistory(t.Context())
		if got := strings.Count(c.Ctl("get", "--prefix", "--keys-only", "/arpfabric/v1/history/"), "history"); got != want {
			t.Errorf("%d changes are left, want %d", got, want)
		}
	}
	add(4, time.Now().Add(-2*historyKept))
	add(1, time.Now().Add(-historyKept-time.Hour))
	add(historyLeast-1, time.Now())
	expect(historyLeast)
	add(1, time.Now().Add(-10*historyKept)) // made now
	expect(historyLeast + 1)
	add(historyLeast, time.Now().Add(historyKept))
	expect(2*historyLeast - 1)
}
