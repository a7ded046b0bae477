package api

import (
	"context"
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

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/responder"
	"go.uber.org/goleak"
)

// asStranger makes the test program ask for the status on the socket that it names, and say what is wrong.
const asStranger = "ARPFABRIC_TEST_STRANGER"

func TestMain(m *testing.M) {
	if socket := os.Getenv(asStranger); socket != "" {
		_, err := NewClient(socket).Status(context.Background())
		fmt.Print(err)
		return
	}
	goleak.VerifyTestMain(m)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A fake is a fabric that answers what it is told to.
type fake struct {
	event.Stream
	violations []Violation
	reload     func(context.Context) error // nil to succeed

	mu      sync.Mutex
	filters []event.Filter // of all that have listened
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
			Reasons: map[string]uint64{"answered": 7}, Refused: 5,
		},
	}
}

func (f *fake) Violations() []Violation { return f.violations }

func (*fake) LookupAddress(addr netip.Addr) []Binding {
	if addr == db.First {
		return []Binding{db}
	}
	return []Binding{}
}

// explained is what the fake makes of any frame.
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

func (*fake) LookupMAC(mac responder.MAC) []Binding {
	if mac.String() == db.MAC {
		return []Binding{db}
	}
	return []Binding{}
}

func (*fake) LookupBeginning(text string) []Binding {
	if strings.HasPrefix(db.First.String(), text) {
		return []Binding{db}
	}
	return []Binding{}
}

func (f *fake) Reload(ctx context.Context) error {
	if f.reload == nil {
		return nil
	}
	return f.reload(ctx)
}

func (f *fake) Listen(filter event.Filter, room int) *event.Listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filters = append(f.filters, filter)
	return f.Stream.Listen(filter, room)
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

// start serves a fabric until the test ends, or stop is called.
func start(t *testing.T, f Fabric, l limits) (socket string, stop func()) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "api.sock")
	listener, err := Listen(socket, "")
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- newServer(f, l).serve(ctx, listener, slog.New(slog.DiscardHandler)) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return socket, stop
}

// shortDir is t.TempDir with a path that is short enough for a socket in it, whatever the test's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "api")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}
