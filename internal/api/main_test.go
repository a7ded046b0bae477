package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder/registry"
	"go.uber.org/goleak"
)

// statusSocket names an environment variable. If it has the path of a socket, the test program asks for the status
// there and prints the error.
const statusSocket = "ARPFABRIC_TEST_STATUS_SOCKET"

// allocateSocket is the same for an allocation.
const allocateSocket = "ARPFABRIC_TEST_ALLOCATE_SOCKET"

var discard = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) {
	if socket := os.Getenv(allocateSocket); socket != "" {
		_, err := NewClient(socket).Allocate(context.Background(), "lab", NewAllocation{})
		fmt.Print(err)
		return
	}
	if socket := os.Getenv(statusSocket); socket != "" {
		_, err := NewClient(socket).Status(context.Background())
		fmt.Print(err)
		return
	}
	goleak.VerifyTestMain(m)
}

// A fake is a Fabric with fixed answers.
type fake struct {
	event.Stream
	violations []Violation
	reload     func(context.Context) error // nil to succeed

	change func(network string, q any) (NetworkBinding, error) // of every call that changes an allocation

	mu      sync.Mutex
	filters []event.Filter // of every call of Listen
	asked   explain.Question
}

var (
	morning = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	noon    = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

	db = Binding{
		Network: "lab", First: netip.MustParseAddr("10.239.0.102"), Last: netip.MustParseAddr("10.239.0.102"),
		MAC: "02:00:07:de:54:a8", Name: "db", Port: "vnet3", Origin: "lab.yaml:8",
	}
	spoofed = Violation{
		Network: "lab", Port: "vnet4", Reason: "spoofed-sender", Action: "drop", MAC: "02:00:09:de:54:a8",
		Address: db.First, Target: netip.MustParseAddr("10.239.0.101"), Owner: &db, First: morning, Last: noon, Count: 3,
	}
	nameless = Violation{
		Network: "lab", Port: "vnet4", Reason: "invalid-sender-mac", Action: "drop", MAC: "01:00:5e:00:00:01",
		First: morning, Last: morning, Count: 1,
	}
)

func (*fake) Status() Status {
	return Status{
		Version: "v1.2.3", PID: 42, Started: morning,
		Configuration: Configuration{
			Files: []string{"lab.yaml"}, Loaded: morning, Generation: 2, Failures: 1,
			LastError: "lab.yaml:3: networks: want a mapping", FailedAt: &noon,
		},
		Networks: []Network{
			{Name: "lab", Mode: "vpc", Attach: "bridge br0", Guard: "full", Bindings: 3, Ports: 2},
		},
		Guard:   Guard{Reinstalled: 1},
		Reasons: map[string]uint64{"answered": 7, "unknown-target": 2}, Refused: 5,
		Problems:   []string{"network lab: the uplink eth1 is not a member of br0"},
		Violations: Violations{Records: 2, Forgotten: 1}, Losses: Losses{Frames: 1, Events: 2, Strays: 3},
	}
}

func (*fake) Ports() []Port {
	return []Port{
		{
			Network: "lab", Name: "br0", Index: 3, Kind: Host, MAC: "02:00:00:de:54:a8",
			Reasons: map[string]uint64{},
		},
		{
			Network: "lab", Name: "vnet3", Index: 9, Kind: GuestPort, MAC: "fe:00:07:de:54:a8",
			Reasons: map[string]uint64{"answered": 7}, Refused: 5, LastSeen: &noon,
			MACs: []LocatedMAC{{MAC: db.MAC, Since: noon, From: "arp", Addresses: []string{"10.239.0.102"}, Name: "db"}},
		},
	}
}

// Violations knows the filters by port and by time.
func (f *fake) Violations(filter ViolationFilter) []Violation {
	return slices.DeleteFunc(slices.Clone(f.violations), func(v Violation) bool {
		return v.Last.Before(filter.Since) || len(filter.Ports) > 0 && !slices.Contains(filter.Ports, v.Port)
	})
}

func (f *fake) ClearViolations(filter ViolationFilter) int { return len(f.Violations(filter)) }

func (*fake) LookupAddress(addr netip.Addr) []Binding {
	if addr == db.First {
		return []Binding{db}
	}
	return []Binding{}
}

// explained is the fake's answer to any question.
var explained = explain.Explanation{
	Network: "lab", Summary: "lab: vpc on bridge br0, 3 bindings, guard full", Port: "vnet3",
	Frame:  explain.Frame{Text: "ARP, Request who-has 10.239.0.1 tell 10.239.0.102, length 28", Hex: "ffff"},
	Action: "drop", Reason: "unknown-target",
	Rows:    []explain.Row{{Reason: "unknown-target", Fits: true, Compared: "10.239.0.1 has no binding"}},
	Decided: []explain.Line{{Origin: "lab.yaml:3", Text: "the registry of networks.lab has no such binding"}},
	Change:  []string{"give 10.239.0.1 a binding"}, Notes: []string{},
}

func (f *fake) Explain(q explain.Question) (explain.Explanation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = q
	if len(q.Hex) == 1 {
		return explain.Explanation{}, errors.New("the frame ends in half a byte")
	}
	return explained, nil
}

func (*fake) LookupMAC(mac registry.MAC) []Binding {
	if mac.String() == db.MAC {
		return []Binding{db}
	}
	return []Binding{}
}

func (*fake) LookupName(name string) []Binding {
	if name == db.Name {
		return []Binding{db}
	}
	return []Binding{}
}

func (*fake) LookupTextPrefix(text string) []Binding {
	if strings.HasPrefix(db.First.String(), text) {
		return []Binding{db}
	}
	return []Binding{}
}

// web is allocated, db is in the configuration.
var (
	web = NetworkBinding{
		Binding: Binding{
			Network: "lab", First: netip.MustParseAddr("10.239.0.103"), Last: netip.MustParseAddr("10.239.0.103"),
			MAC: "02:00:09:de:54:a8", Name: "web", Origin: "store:43",
		},
		Source: FromStore, Revision: 43, Expires: &noon,
	}
	dbInLab = NetworkBinding{
		Binding: Binding{Network: "lab", First: db.First, Last: db.Last, MAC: db.MAC, Name: db.Name, Port: db.Port, Origin: db.Origin},
		Source:  FromConfig,
	}
)

func (*fake) NetworkBindings(network string, q BindingQuery) (BindingPage, error) {
	if network != "lab" {
		return BindingPage{}, &allocate.Refusal{Cause: allocate.Missing, Text: "there is no network " + network}
	}
	page := BindingPage{Bindings: []NetworkBinding{}}
	for _, b := range []NetworkBinding{dbInLab, web} {
		switch {
		case q.Address.IsValid() && q.Address != b.First, q.Source != "" && q.Source != b.Source,
			q.Name != "" && q.Name != b.Name, q.MAC.IsUnicast() && q.MAC.String() != b.MAC,
			q.After.IsValid() && !q.After.Less(b.First):
		case len(page.Bindings) == q.Limit:
			page.After = page.Bindings[q.Limit-1].First.String()
		default:
			page.Bindings = append(page.Bindings, b)
		}
	}
	return page, nil
}

func (*fake) FreeRanges(_ string, limit int) ([]FreeRange, error) {
	return []FreeRange{{"lab", db.First, db.Last}, {"lab", web.First, web.Last}}[:min(limit, 2)], nil
}

func (*fake) AddressMap(network string, after netip.Addr, limit int) (AddressMap, error) {
	m := AddressMap{Subnet: "10.239.0.0/23", Blocks: []AddressBlock{}}
	if network != "lab" {
		return m, &allocate.Refusal{Cause: allocate.Missing, Text: "there is no network " + network}
	}
	for _, first := range []netip.Addr{netip.MustParseAddr("10.239.0.0"), netip.MustParseAddr("10.239.1.0")} {
		switch {
		case after.IsValid() && !after.Less(first):
		case len(m.Blocks) == limit:
			m.After = m.Blocks[limit-1].First.String()
		default:
			m.Blocks = append(m.Blocks, AddressBlock{first, "-.aA!"})
		}
	}
	return m, nil
}

func (f *fake) Allocate(_ context.Context, network string, q allocate.Request) (NetworkBinding, error) {
	return f.change(network, q)
}

func (f *fake) PutBinding(_ context.Context, network string, q allocate.Request) (NetworkBinding, error) {
	return f.change(network, q)
}

// A freeing has the arguments of FreeBinding.
type freeing struct {
	Address      netip.Addr
	Precondition allocate.Precondition
	Caller       store.Caller
}

func (f *fake) FreeBinding(
	_ context.Context, network string, addr netip.Addr, p allocate.Precondition, by store.Caller,
) (NetworkBinding, error) {
	return f.change(network, freeing{addr, p, by})
}

func (*fake) History(q store.HistoryQuery) ([]Change, error) {
	uid, pid := uint32(1000), int32(4711)
	owner := Owner{MAC: web.MAC, Name: "web", Expires: &noon}
	all := []Change{
		{Revision: 42, Time: morning, Kind: Allocated, Network: "lab", Address: web.First, Is: owner, UID: &uid, PID: &pid},
		{Revision: 43, Time: noon, Kind: Expired, Network: "lab", Address: web.First, Is: owner},
	}
	if q.Before != 0 {
		all = all[:1]
	}
	return all[max(0, len(all)-q.Limit):], nil
}

func (f *fake) Reload(ctx context.Context) error {
	if f.reload == nil {
		return nil
	}
	return f.reload(ctx)
}

func (f *fake) Listen(filter event.Filter, capacity, last int) *event.Listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filters = append(f.filters, filter)
	return f.Stream.Listen(filter, capacity, last)
}

func (f *fake) listened() []event.Filter {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.filters)
}

func (f *fake) question() explain.Question {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// start serves a fabric until the test ends or calls stop.
func start(t *testing.T, f Fabric, l limits) (socket string, stop func()) {
	t.Helper()
	socket, listener := newSocket(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- newServer(f, l).serve(ctx, listener, discard) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return socket, stop
}

// umaskMu keeps parallel tests from opening sockets at the same time: Listen sets the umask, which belongs to the whole
// process.
var umaskMu sync.Mutex

func newSocket(t *testing.T) (string, net.Listener) {
	t.Helper()
	umaskMu.Lock()
	defer umaskMu.Unlock()
	socket := filepath.Join(shortDir(t), "api.sock")
	listener, err := Listen(socket, "")
	labtest.Must(t, err)
	return socket, listener
}

// shortDir is like t.TempDir, but its path does not contain the test's name: a socket's path has at most 107 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "api")
	labtest.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	labtest.Must(t, os.Chmod(dir, 0o755))
	return dir
}
