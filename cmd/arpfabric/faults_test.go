package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/go-cmp/cmp"
)

// TestFaults allocates 1,000 addresses on three hosts with three members of etcd, and frees every fourth of them again, while
// one part fails after the other. Then each host has what was acknowledged, and nothing else, and so has etcd.
func TestFaults(t *testing.T) {
	skipIfShort(t)
	const all = 1000
	s := newHostsStage(t, 3, 3)
	for _, h := range s.hosts {
		h.start()
	}
	a := newAllocator(t)
	var running sync.WaitGroup
	for i, h := range s.hosts {
		running.Go(func() {
			for n := i; n < all; n += len(s.hosts) {
				a.allocate(h.client, n)
			}
		})
	}
	one, two, three := s.hosts[0], s.hosts[1], s.hosts[2]
	files := two.openFiles()

	a.await(50)
	labtest.Must(t, one.Process.Kill())
	<-one.ended
	a.await(20) // on the others
	one.start()

	leader := s.etcd.Leader()
	s.etcd.Kill(leader)
	a.await(50)
	s.etcd.Restart(leader)

	s.etcd.Kill((leader + 1) % 3)
	s.etcd.Kill((leader + 2) % 3)
	one.expectEtcd(false)
	s.etcd.Restart((leader + 1) % 3)
	s.etcd.Restart((leader + 2) % 3)
	one.expectEtcd(true)
	a.await(50)

	two.run("ip", "route", "add", "blackhole", "192.0.2.254")
	two.expectEtcd(false)
	a.await(50)
	two.run("ip", "route", "del", "blackhole", "192.0.2.254")
	two.expectEtcd(true)

	labtest.Must(t, three.Process.Signal(syscall.SIGSTOP))
	a.await(50)
	s.etcd.Compact()
	labtest.Must(t, three.Process.Signal(syscall.SIGCONT))
	a.await(50)

	twin := s.addHost(t, 4, "host1")
	twin.start()
	one.expectLog(t, "another arpfabric has the name of this host in etcd")
	running.Go(func() {
		for n := range 10 {
			a.allocate(twin.client, all+n)
		}
	})
	running.Wait()

	if t.Failed() {
		return
	}
	for _, h := range append(s.hosts, twin) {
		h.expectAllocations(a.kept)
	}
	for keys, want := range map[string]int{"addresses": len(a.given), "macs": len(a.kept), "names": len(a.kept)} {
		if got := strings.Count(s.etcd.Ctl("get", "--prefix", "--keys-only", "/arpfabric/v1/"+keys+"/"), keys); got != want {
			t.Errorf("etcd has %d %s, want %d", got, keys, want)
		}
	}
	labtest.Eventually(t, "no connection is left over", func() bool { return two.openFiles() <= files })
}

// An allocator allocates until it succeeds, whatever fails meanwhile.
type allocator struct {
	t *testing.T

	mu    sync.Mutex            // guards the fields below
	given map[netip.Addr]string // the name that got an address, also if it was freed since
	kept  map[string]string     // the addresses that were not freed, by name
}

func newAllocator(t *testing.T) *allocator {
	return &allocator{t: t, given: map[netip.Addr]string{}, kept: map[string]string{}}
}

// allocate allocates an address for guest number n, and frees every fourth one again.
func (a *allocator) allocate(c *api.Client, n int) {
	name := fmt.Sprintf("guest%d", n)
	var one api.NetworkBinding
	isDone := a.insist(func(ctx context.Context) (err error) {
		if one, err = c.Allocate(ctx, "lab", api.NewAllocation{AllocationSettings: api.AllocationSettings{Name: name}}); statusOf(err) != http.StatusConflict {
			return err
		}
		// An earlier attempt was made, and only its answer was lost.
		page, err := c.NetworkBindings(ctx, "lab", api.BindingQuery{Name: name, Limit: 1})
		if err == nil && len(page.Bindings) == 1 {
			one = page.Bindings[0]
			return nil
		}
		return errors.Join(err, fmt.Errorf("%d bindings of %s", len(page.Bindings), name))
	})
	if !isDone {
		return
	}
	a.mu.Lock()
	if other, taken := a.given[one.First]; taken {
		a.t.Errorf("%s was given to %s and %s", one.First, other, name)
	}
	a.given[one.First], a.kept[name] = name, one.First.String()+" "+one.MAC
	a.mu.Unlock()
	if n%4 > 0 {
		return
	}
	a.insist(func(ctx context.Context) error {
		_, err := c.FreeBinding(ctx, "lab", one.First, one.Revision)
		if status := statusOf(err); status == http.StatusNotFound || status == http.StatusPreconditionFailed { // an earlier attempt was made
			return nil
		}
		return err
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.kept, name)
}

// insist calls do until it succeeds. It returns false if the test ends before.
func (a *allocator) insist(do func(context.Context) error) bool {
	var err error
	for deadline := time.Now().Add(2 * labtest.Patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = do(a.t.Context()); err == nil {
			return true
		}
		if a.t.Context().Err() != nil {
			return false
		}
	}
	a.t.Errorf("in vain for %v: %v", 2*labtest.Patience, err)
	return false
}

// statusOf returns the HTTP status of an error of the API, or 0.
func statusOf(err error) int {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p.Status
	}
	return 0
}

// await waits until n more addresses were given.
func (a *allocator) await(n int) {
	a.t.Helper()
	count := func() int {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.given)
	}
	want := count() + n
	labtest.Eventually(a.t, fmt.Sprintf("%d addresses are given", want), func() bool { return count() >= want })
}

// expectEtcd waits until the host says that it reaches etcd, or that it does not.
func (h *overlayHost) expectEtcd(isReached bool) {
	h.t.Helper()
	labtest.Eventually(h.t, fmt.Sprintf("%s reaches etcd: %t", h.Name, isReached), func() bool {
		s, err := h.client.Status(h.t.Context())
		return err == nil && s.Store.Etcd != nil && isReached == (s.Store.Etcd.Error == "")
	})
}

// expectAllocations waits until the host has these allocations in force.
func (h *overlayHost) expectAllocations(want map[string]string) {
	h.t.Helper()
	got := map[string]string{}
	labtest.Eventually(h.t, fmt.Sprintf("%s has %d allocations", h.Name, len(want)), func() bool {
		all, err := h.client.AllNetworkBindings(h.t.Context(), "lab", api.BindingQuery{Source: api.FromStore})
		clear(got)
		for _, one := range all {
			got[one.Name] = one.First.String() + " " + one.MAC
		}
		return err == nil && len(all) == len(want)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("%s (-want +got)\n%s", h.Name, diff)
	}
}

// openFiles returns the number of files, connections included, that the fabric has open.
func (h *overlayHost) openFiles() int {
	h.t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.Process.Pid))
	labtest.Must(h.t, err)
	return len(files)
}
