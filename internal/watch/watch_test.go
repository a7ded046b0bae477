package watch_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/watch"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { os.Exit(lab.RunTests(m)) }

// patience is how long a test waits for what must happen: emulated machines are slow.
const patience = 30 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a watcher that looks after each change, until the test ends.
func run[T any](t *testing.T, w *watch.Watcher, look func() T) <-chan T {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended, looked := make(chan error), make(chan struct{})
	seen := make(chan T, 10000)
	go func() { ended <- w.Run(ctx) }()
	go func() {
		defer close(looked)
		for {
			select {
			case <-w.Changed():
				seen <- look()
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-looked
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		goleak.VerifyNone(t)
	})
	return seen
}

// expect waits until something is seen that fits.
func expect[T any](t *testing.T, seen <-chan T, what string, fits func(T) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case got := <-seen:
			if fits(got) {
				return
			}
		case <-deadline:
			t.Fatalf("%s was not seen in %v", what, patience)
		}
	}
}

// watchMembers watches the members of br0.
func watchMembers(t *testing.T) <-chan []string {
	t.Helper()
	must(t, lab.AddBridge("br0"))
	t.Cleanup(func() { lab.DeleteLink("br0") })
	w, err := watch.Interfaces()
	must(t, err)
	return run(t, w, func() []string {
		s, err := link.Take()
		if err != nil {
			return []string{err.Error()}
		}
		var names []string
		for _, m := range s.Members("br0") {
			names = append(names, m.Name)
		}
		return names
	})
}

func expectMembers(t *testing.T, seen <-chan []string, want ...string) {
	t.Helper()
	expect(t, seen, fmt.Sprint(want), func(got []string) bool { return slices.Equal(got, want) })
}

func addPort(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() { lab.DeleteLink(name) })
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "-far"}))
	must(t, lab.SetMaster(name, "br0"))
}

func TestInterfaces(t *testing.T) {
	seen := watchMembers(t)
	addPort(t, "a")
	expectMembers(t, seen, "a")
	addPort(t, "b")
	expectMembers(t, seen, "a", "b")
	must(t, lab.DeleteLink("a"))
	expectMembers(t, seen, "b")
	must(t, lab.DeleteLink("br0"))
	expectMembers(t, seen)
}

func TestInterfacesAfterABurst(t *testing.T) {
	seen := watchMembers(t)
	var want []string
	for i := range 100 {
		name := fmt.Sprintf("p%02d", i)
		addPort(t, name)
		want = append(want, name)
	}
	expectMembers(t, seen, want...)
}

func TestRuleset(t *testing.T) {
	g := guard.New(1)
	w, err := watch.Ruleset()
	must(t, err)
	must(t, g.Apply(guard.Plan{Guests: []string{"a"}}))
	seen := run(t, w, g.Intact)
	expect(t, seen, "the guard", func(intact bool) bool { return intact })
	must(t, guard.New(1).Remove())
	expect(t, seen, "that the guard is gone", func(intact bool) bool { return !intact })
}
