package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A fakeFabric has registries in force, and no kernel.
type fakeFabric struct {
	mu    sync.Mutex
	cfg   *config.Config
	fails error // of SetRegistry
	host  fabric.HostAddresses
}

func (f *fakeFabric) HostAddresses(string) (fabric.HostAddresses, error) { return f.host, nil }

func (f *fakeFabric) Config() *config.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cfg
}

func (f *fakeFabric) Reload(_ context.Context, c *config.Config) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cfg = c
	return nil
}

func (f *fakeFabric) Location(string, registry.MAC) (fabric.Located, bool) {
	return fabric.Located{}, false
}

func (f *fakeFabric) SetRegistry(_ context.Context, network string, r *registry.Registry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails != nil {
		return f.fails
	}
	next := *f.cfg
	next.Networks = append([]config.Network{}, f.cfg.Networks...)
	for i := range next.Networks {
		if next.Networks[i].Name == network {
			next.Networks[i].Registry = r
		}
	}
	f.cfg = &next
	return nil
}

// fail makes SetRegistry fail with an error, or succeed if it is nil.
func (f *fakeFabric) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = err
}

// A session is a daemon's allocations, with a fabric that does nothing.
type session struct {
	t      *testing.T
	folder string
	etcd   string // the key etcd of the store, with a comma before it
	fabric *fakeFabric
	*daemon
	log  *strings.Builder
	stop func()
}

// yaml is a configuration with one network.
const yaml = `
networks:
  lab:
    attach: {bridge: br0}
    subnet: 10.239.0.0/24
    registry: {10.239.0.1: "02:00:00:de:54:a8"%s}
    allocation: {hold: 0s}
store: {folder: store%s}
`

// begin starts a session with a store in folder, and with more bindings in the configuration.
func begin(t *testing.T, folder, more string) *session {
	t.Helper()
	s := &session{t: t, folder: folder}
	s.begin(more)
	return s
}

// begin starts the session.
func (s *session) begin(more string) {
	t := s.t
	t.Helper()
	s.fabric, s.log = &fakeFabric{}, &strings.Builder{}
	cfg := s.load(more)
	log := slog.New(slog.NewTextHandler(s.log, nil))
	a := newAllocations(log, cfg.Store)
	m, err := a.merge(context.Background(), cfg)
	labtest.Must(t, err)
	s.fabric.cfg, a.fabric = m.config, s.fabric
	a.take(m)
	s.daemon = &daemon{log: log, allocations: a}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { a.run(ctx) })
	tasks.Go(func() { a.sources.run(ctx) })
	s.stop = sync.OnceFunc(func() { cancel(); tasks.Wait(); a.close() })
	t.Cleanup(s.stop)
}

func (s *session) load(more string) *config.Config {
	s.t.Helper()
	path := filepath.Join(s.folder, "lab.yaml")
	labtest.Must(s.t, os.WriteFile(path, fmt.Appendf(nil, yaml, more, s.etcd), 0o600))
	cfg, err := config.Load(path)
	labtest.Must(s.t, err)
	return cfg
}

// inForce returns the registry in force.
func (s *session) inForce() []string {
	var all []string
	for b := range s.fabric.Config().Networks[0].Registry.All() {
		all = append(all, strings.ReplaceAll(b.String()+" "+b.Origin.String(), s.folder+"/", ""))
	}
	return all
}

func (s *session) expect(want ...string) {
	s.t.Helper()
	want = append([]string{"10.239.0.1 is-at 02:00:00:de:54:a8 lab.yaml:6"}, want...)
	if diff := cmp.Diff(want, s.inForce()); diff != "" {
		s.t.Errorf("in force (-want +got)\n%s", diff)
	}
}

func (s *session) allocate(q allocate.Request) api.NetworkBinding {
	s.t.Helper()
	b, err := s.Allocate(context.Background(), "lab", q)
	labtest.Must(s.t, err)
	return b
}

func (s *session) free(b api.NetworkBinding) {
	s.t.Helper()
	_, err := s.FreeBinding(context.Background(), "lab", b.First, allocate.Precondition{}, store.Caller{})
	labtest.Must(s.t, err)
}

// TestAllocations checks that allocations are in force when the call returns, and after a restart.
func TestAllocations(t *testing.T) {
	folder := t.TempDir()
	s := begin(t, folder, "")
	s.expect()
	first := s.allocate(allocate.Request{Name: "web"})
	second := s.allocate(allocate.Request{})
	s.expect("10.239.0.2 is-at 02:00:02:de:54:a8 store:1", "10.239.0.3 is-at 02:00:03:de:54:a8 store:2")
	s.free(first)
	s.expect("10.239.0.3 is-at 02:00:03:de:54:a8 store:2")
	put, err := s.PutBinding(context.Background(), "lab", allocate.Request{Address: second.First, Name: "db"})
	labtest.Must(t, err)
	if put.MAC != second.MAC || put.Name != "db" || put.Revision != 4 {
		t.Errorf("changed to %+v", put)
	}
	again, err := s.PutBinding(context.Background(), "lab", allocate.Request{Address: second.First, Name: "db"})
	if err != nil || again.Revision != 4 {
		t.Errorf("changed again to %+v, %v", again, err)
	}
	s.stop()
	s = begin(t, folder, "")
	s.expect("10.239.0.3 is-at 02:00:03:de:54:a8 store:4")
	changes, err := s.History(store.HistoryQuery{Limit: 10})
	if err != nil || len(changes) != 4 || changes[3].Was == nil || changes[3].Was.Name != "" || changes[3].Is.Name != "db" {
		t.Errorf("history %+v, %v", changes, err)
	}
}

// TestConflicts checks that the configuration wins over the store, at the start and at a reload, and that both origins are
// reported; and that the allocation is in force again when the conflict is gone.
func TestConflicts(t *testing.T) {
	folder := t.TempDir()
	s := begin(t, folder, "")
	b := s.allocate(allocate.Request{Name: "web"})
	conflict := `, 10.239.0.2: "02:00:77:de:54:a8"`
	expectConflict := func() {
		t.Helper()
		s.expect("10.239.0.2 is-at 02:00:77:de:54:a8 lab.yaml:6")
		page, err := s.NetworkBindings("lab", api.BindingQuery{Source: api.FromStore, Limit: 10})
		if err != nil || len(page.Bindings) != 1 || !strings.Contains(page.Bindings[0].NotInForce, "lab.yaml:6 binds the address to 02:00:77:de:54:a8, and comes first") {
			t.Errorf("bindings %+v, %v", page, err)
		}
		if f := s.allocations.findings("lab"); len(f) != 1 || !strings.Contains(f[0], "the allocation of 10.239.0.2 is not in force") {
			t.Errorf("findings %q", f)
		}
		if log := s.log.String(); strings.Count(log, "an allocation is not in force") != 1 || !strings.Contains(log, "origin=store:1") {
			t.Errorf("log:\n%s", log)
		}
	}
	labtest.Must(t, s.allocations.reload(context.Background(), s.load(conflict)))
	expectConflict()
	labtest.Must(t, s.allocations.reload(context.Background(), s.load(conflict)))
	expectConflict()
	s.stop()
	s = begin(t, folder, conflict)
	expectConflict()
	// A range of the configuration wins, too.
	labtest.Must(t, s.allocations.reload(context.Background(), s.load(`, 10.239.0.2-10.239.0.9: "02:00:77:de:54:a8"`)))
	s.expect("10.239.0.2-10.239.0.9 is-at 02:00:77:de:54:a8 lab.yaml:6")
	// Freeing the allocation leaves the configuration's binding.
	labtest.Must(t, s.allocations.reload(context.Background(), s.load("")))
	s.expect("10.239.0.2 is-at 02:00:02:de:54:a8 store:1")
	labtest.Must(t, s.allocations.reload(context.Background(), s.load(conflict)))
	s.free(b)
	s.expect("10.239.0.2 is-at 02:00:77:de:54:a8 lab.yaml:6")
	if f := s.allocations.findings("lab"); f != nil {
		t.Errorf("findings %q", f)
	}
}

// TestHostAddress checks that no guest gets the host's own address on the bridge.
func TestHostAddress(t *testing.T) {
	s := begin(t, t.TempDir(), "")
	hostMAC := registry.MAC{2, 0xb0, 0, 0, 0, 1}
	s.fabric.host = fabric.HostAddresses{Interface: "br0", MAC: hostMAC, Addresses: []netip.Addr{netip.MustParseAddr("10.239.0.2")}}
	free, err := s.FreeRanges("lab", 1)
	labtest.Must(t, err)
	if len(free) != 1 || free[0].First != netip.MustParseAddr("10.239.0.3") {
		t.Errorf("free: %v", free)
	}
	if b := s.allocate(allocate.Request{}); b.First != netip.MustParseAddr("10.239.0.3") {
		t.Errorf("allocated %s", b.First)
	}
	for _, mac := range []registry.MAC{{}, {2, 0, 2, 0xde, 0x54, 0xa8}} {
		_, err := s.Allocate(context.Background(), "lab", allocate.Request{Address: s.fabric.host.Addresses[0], MAC: mac})
		if err == nil || err.Error() != "10.239.0.2 is this host's own address, on br0; to bind it to the host, give the MAC 02:b0:00:00:00:01" {
			t.Errorf("error %v", err)
		}
	}
	s.allocate(allocate.Request{Address: s.fabric.host.Addresses[0], MAC: hostMAC})
}

// TestRenamedNetwork checks that the allocations of a network that is not in the configuration any more can be seen and
// freed, and that nothing can be allocated there.
func TestRenamedNetwork(t *testing.T) {
	s := begin(t, t.TempDir(), "")
	s.allocate(allocate.Request{Name: "web"})
	renamed := *s.load("")
	renamed.Networks = []config.Network{renamed.Networks[0]}
	renamed.Networks[0].Name = "new"
	labtest.Must(t, s.allocations.reload(context.Background(), &renamed))
	if got := s.allocations.status().OtherNetworks; !cmp.Equal(got, []string{"lab"}) {
		t.Errorf("other networks %q", got)
	}
	page, err := s.NetworkBindings("lab", api.BindingQuery{Source: api.FromStore, Limit: 10})
	labtest.Must(t, err)
	if b := page.Bindings; len(b) != 1 || b[0].Name != "web" || b[0].Revision != 1 || b[0].NotInForce != "the configuration has no network lab" {
		t.Errorf("bindings %+v", b)
	}
	_, allocated := s.Allocate(context.Background(), "lab", allocate.Request{Address: page.Bindings[0].First.Next()})
	_, put := s.PutBinding(context.Background(), "lab", allocate.Request{Address: page.Bindings[0].First, Name: "db"})
	_, free := s.FreeRanges("lab", 10)
	for _, err := range []error{allocated, put, free} {
		if err == nil || err.Error() != "there is no network lab; what was allocated there can only be freed" {
			t.Errorf("error %v", err)
		}
	}
	s.free(page.Bindings[0])
	if got := s.allocations.status().OtherNetworks; got != nil {
		t.Errorf("other networks %q, of which nothing is left", got)
	}
	_, err = s.NetworkBindings("none", api.BindingQuery{Limit: 10})
	if err == nil || err.Error() != "there is no network none, but there is new" {
		t.Errorf("bindings of no network: %v", err)
	}
}

// TestCandidates checks that a query for a MAC finds the bindings that may move to it.
func TestCandidates(t *testing.T) {
	s := begin(t, t.TempDir(), `, 10.239.0.9: {macs: ["02:00:08:de:54:a8", "02:00:09:de:54:a8"]}`)
	for _, mac := range []registry.MAC{{2, 0, 8, 0xde, 0x54, 0xa8}, {2, 0, 9, 0xde, 0x54, 0xa8}} {
		page, err := s.NetworkBindings("lab", api.BindingQuery{MAC: mac, Limit: 10})
		if err != nil || len(page.Bindings) != 1 {
			t.Errorf("%s: %+v, %v", mac, page, err)
		}
	}
}

// TestSeveralAtOnce lets many callers allocate at once: nobody gets what another has.
func TestSeveralAtOnce(t *testing.T) {
	s := begin(t, t.TempDir(), "")
	var mu sync.Mutex
	seen := map[netip.Addr]bool{}
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 30 {
				b, err := s.Allocate(context.Background(), "lab", allocate.Request{})
				mu.Lock()
				if err != nil || seen[b.First] {
					t.Errorf("allocated %s twice, or %v", b.First, err)
				}
				seen[b.First] = true
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	if n := s.fabric.Config().Networks[0].Registry.Len(); n != 241 {
		t.Errorf("%d bindings in force, want 241", n)
	}
}

// TestExpiry checks that an allocation that expires is freed by itself, also when that was while nothing ran.
func TestExpiry(t *testing.T) {
	folder := t.TempDir()
	s := begin(t, folder, "")
	s.allocate(allocate.Request{Expires: time.Now().Add(2 * time.Second)})
	s.allocate(allocate.Request{Expires: time.Now().Add(time.Hour)})
	labtest.Eventually(t, "the first one is not in force", func() bool { return len(s.inForce()) == 2 })
	s.expect("10.239.0.3 is-at 02:00:03:de:54:a8 store:2")
	changes, err := s.History(store.HistoryQuery{Limit: 10})
	if err != nil || changes[2].Kind != api.Expired || changes[2].UID != nil {
		t.Errorf("history %+v, %v", changes, err)
	}
	third := s.allocate(allocate.Request{Expires: time.Now().Add(2 * time.Second)})
	s.stop()
	time.Sleep(time.Until(*third.Expires))
	s = begin(t, folder, "")
	s.expect("10.239.0.3 is-at 02:00:03:de:54:a8 store:2")
}

// TestStoreFails checks that a store that can't be written costs nothing but changes.
func TestStoreFails(t *testing.T) {
	s := begin(t, t.TempDir(), "")
	first := s.allocate(allocate.Request{Name: "web"})
	memory := store.NewMemory()
	s.allocations.mu.Lock()
	f := s.allocations.store
	memory.Fail = errors.New("no space left")
	s.allocations.store = &failing{f, memory}
	s.allocations.mu.Unlock()
	if _, err := s.Allocate(context.Background(), "lab", allocate.Request{}); err == nil || err.Error() != "no space left" {
		t.Errorf("error %v", err)
	}
	if _, err := s.FreeBinding(context.Background(), "lab", first.First, allocate.Precondition{}, store.Caller{}); err == nil {
		t.Error("freed without a store")
	}
	s.expect("10.239.0.2 is-at 02:00:02:de:54:a8 store:1")
	if f := s.allocations.findings("lab"); len(f) != 1 || f[0] != "nothing can be allocated or freed: no space left" {
		t.Errorf("findings %q", f)
	}
	memory.Fail = nil
	if s.stop(); strings.Count(s.log.String(), "no space left") != 1 {
		t.Errorf("log:\n%s", s.log)
	}
}

// TestStoreDeleted deletes the folder of the store: no allocation is lost, and the status says when it can't be made again.
func TestStoreDeleted(t *testing.T) {
	folder := t.TempDir()
	s := begin(t, folder, "")
	s.allocate(allocate.Request{})
	path := filepath.Join(folder, "store")
	deleteAll(t, path)
	s.allocate(allocate.Request{})
	if log := s.log.String(); !strings.Contains(log, "somebody deleted or moved the files of the store") {
		t.Errorf("log:\n%s", log)
	}
	labtest.Eventually(t, "a file is in its place", func() bool {
		return os.RemoveAll(path) == nil && os.WriteFile(path, nil, 0o600) == nil
	})
	s.allocations.maintain()
	if f := s.allocations.findings("lab"); len(f) != 1 || !strings.Contains(f[0], "deleted or moved, and cannot be written again") {
		t.Errorf("findings %q", f)
	}
	labtest.Must(t, os.Remove(path))
	s.allocations.maintain()
	if f := s.allocations.findings("lab"); f != nil {
		t.Errorf("findings %q", f)
	}
	deleteAll(t, path)
	s.stop()
	s = begin(t, folder, "")
	s.expect("10.239.0.2 is-at 02:00:02:de:54:a8 store:1", "10.239.0.3 is-at 02:00:03:de:54:a8 store:2")
}

// deleteAll deletes a folder. The daemon may write a file in the meantime.
func deleteAll(t *testing.T, folder string) {
	t.Helper()
	labtest.Eventually(t, folder+" is deleted", func() bool { return os.RemoveAll(folder) == nil })
}

// failing is a store whose Commit is another one's.
type failing struct {
	store.Store
	other *store.Memory
}

func (f *failing) Commit(c []store.Change) error { return f.other.Commit(c) }

// TestKernelFails checks that a change that the fabric can't put in force is taken back, also in the store.
func TestKernelFails(t *testing.T) {
	folder := t.TempDir()
	s := begin(t, folder, "")
	b := s.allocate(allocate.Request{Name: "web"})
	s.fabric.mu.Lock()
	s.fabric.fails = errors.New("no memory")
	s.fabric.mu.Unlock()
	for name, do := range map[string]func() error{
		"allocate": func() error { _, err := s.Allocate(context.Background(), "lab", allocate.Request{}); return err },
		"put": func() error {
			_, err := s.PutBinding(context.Background(), "lab", allocate.Request{Address: b.First, Name: "db"})
			return err
		},
		"free": func() error {
			_, err := s.FreeBinding(context.Background(), "lab", b.First, allocate.Precondition{}, store.Caller{})
			return err
		},
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "taken back: no memory") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	s.stop()
	s = begin(t, folder, "")
	page, err := s.NetworkBindings("lab", api.BindingQuery{Source: api.FromStore, Limit: 10})
	if err != nil || len(page.Bindings) != 1 || page.Bindings[0].Name != "web" || page.Bindings[0].First != b.First {
		t.Errorf("bindings %+v, %v", page, err)
	}
}

// TestWithoutStore checks that a fabric whose store is off, locked or in a missing folder only can't allocate, and that
// the store is opened later if it is there then.
func TestWithoutStore(t *testing.T) {
	folder := t.TempDir()
	blocked := begin(t, folder, "")
	blocked.allocate(allocate.Request{})
	second := &session{t: t, folder: folder, fabric: &fakeFabric{}, log: &strings.Builder{}}
	a := newAllocations(slog.New(slog.NewTextHandler(second.log, nil)), blocked.load("").Store)
	if a.store != nil || !strings.Contains(second.log.String(), "another arpfabric uses the store") {
		t.Errorf("log:\n%s", second.log)
	}
	m, err := a.merge(context.Background(), blocked.load(""))
	labtest.Must(t, err)
	second.fabric.cfg, a.fabric = m.config, second.fabric
	a.take(m)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go a.run(ctx)
	second.daemon = &daemon{allocations: a}
	if _, err := second.Allocate(ctx, "lab", allocate.Request{}); err == nil || !strings.Contains(err.Error(), "another arpfabric uses the store") {
		t.Errorf("error %v", err)
	}
	second.expect()
	if f := a.findings("lab"); len(f) != 1 || !strings.Contains(f[0], "another arpfabric uses the store") {
		t.Errorf("findings %q", f)
	}
	blocked.stop()
	second.allocate(allocate.Request{})
	if log := second.log.String(); !strings.Contains(log, "took over the allocations of the store") || !strings.Contains(log, "addresses=10.239.0.2\n") {
		t.Errorf("log:\n%s", log)
	}
	if f := a.findings("lab"); f != nil {
		t.Errorf("findings %q", f)
	}
	second.expect("10.239.0.2 is-at 02:00:02:de:54:a8 store:1", "10.239.0.3 is-at 02:00:03:de:54:a8 store:2")

	late := begin(t, t.TempDir(), "")
	other, err := store.Open(filepath.Join(late.folder, "store"))
	labtest.Must(t, err)
	if _, err := late.Allocate(ctx, "lab", allocate.Request{}); err == nil {
		t.Error("allocated in a store that another one uses")
	}
	if f := late.allocations.findings("lab"); len(f) != 1 || !strings.Contains(f[0], "another arpfabric uses the store") {
		t.Errorf("findings %q", f)
	}
	labtest.Must(t, other.Close())
	late.allocations.expire(ctx) // as once a minute
	if f := late.allocations.findings("lab"); f != nil {
		t.Errorf("findings %q", f)
	}

	off := newAllocations(slog.New(slog.DiscardHandler), config.Store{})
	if err := off.open(); err == nil || !strings.Contains(err.Error(), "store.folder: off") {
		t.Errorf("error %v", err)
	}
}

// TestPages checks that pages together have every binding once, those that are not in force included.
func TestPages(t *testing.T) {
	s := begin(t, t.TempDir(), `, 10.239.0.128-10.239.0.254: "02:00:08:de:54:a8", 10.239.0.128: "02:00:09:de:54:a8"`)
	for range 5 {
		s.allocate(allocate.Request{})
	}
	labtest.Must(t, s.allocations.reload(context.Background(), s.load(`, 10.239.0.3: "02:00:77:de:54:a8", 10.239.0.6/32: "02:00:77:de:54:a8", 10.239.0.128-10.239.0.130: "02:00:08:de:54:a8", 10.239.0.128: "02:00:09:de:54:a8"`)))
	want, err := s.NetworkBindings("lab", api.BindingQuery{Limit: 100})
	labtest.Must(t, err)
	if len(want.Bindings) != 10 {
		t.Errorf("%d bindings, want 10", len(want.Bindings))
	}
	for limit := 1; limit < 12; limit++ {
		var got []api.NetworkBinding
		q := api.BindingQuery{Limit: limit}
		for {
			page, err := s.NetworkBindings("lab", q)
			labtest.Must(t, err)
			got = append(got, page.Bindings...)
			if page.After == "" {
				break
			}
			q.After = netip.MustParseAddr(page.After)
		}
		if diff := cmp.Diff(want.Bindings, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("limit %d (-want +got)\n%s", limit, diff)
		}
	}
}

// TestChurn frees and allocates in a full subnet, without a hold time: addresses and MACs are given again and again.
func TestChurn(t *testing.T) {
	s := begin(t, t.TempDir(), "")
	var all []api.NetworkBinding
	for range 253 {
		all = append(all, s.allocate(allocate.Request{}))
	}
	for n := range 300 {
		s.free(all[n%len(all)])
		all[n%len(all)] = s.allocate(allocate.Request{})
	}
	if _, err := s.Allocate(context.Background(), "lab", allocate.Request{}); err == nil {
		t.Error("a full subnet has an address")
	}
}

// TestStatusDoesNotWait checks that the status is there while a change waits for the fabric.
func TestStatusDoesNotWait(t *testing.T) {
	s := begin(t, t.TempDir(), "")
	s.allocate(allocate.Request{})
	s.fabric.mu.Lock()
	done := make(chan changeResult, 1)
	go func() { // the change before may still wait for the fabric, too
		s.allocations.requests <- &change{"lab", func(state *allocate.State) (store.Change, bool, error) {
			c, err := state.Allocate(allocate.Request{})
			return c, err == nil, err
		}, done}
	}()
	if status := s.allocations.status(); status == nil || status.Allocations != 1 || s.allocations.findings("lab") != nil {
		t.Errorf("status %+v", status)
	}
	s.fabric.mu.Unlock()
	if result := <-done; result.err != nil {
		t.Error(result.err)
	}
}
