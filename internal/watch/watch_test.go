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
	deadline := time.After(lab.Patience)
	for {
		select {
		case got := <-seen:
			if fits(got) {
				return
			}
		case <-deadline:
			t.Fatalf("%s was not seen in %v", what, lab.Patience)
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

// TestOverrun has more changes than the socket holds messages of before anybody reads: that is counted, is a change
// itself, and the next one is noticed as well.
func TestOverrun(t *testing.T) {
	must(t, lab.AddBridge("br0"))
	t.Cleanup(func() { lab.DeleteLink("br0") })
	w, err := watch.Interfaces()
	must(t, err)
	bridge, err := netlink.LinkByName("br0")
	must(t, err)
	for range 20_000 {
		must(t, netlink.LinkSetAlias(bridge, "before"))
	}
	must(t, netlink.LinkSetAlias(bridge, "lost"))
	alias := func() string {
		l, err := netlink.LinkByName("br0")
		if err != nil {
			return err.Error()
		}
		return l.Attrs().Alias
	}
	seen := run(t, w, alias)
	expect(t, seen, "what was lost", func(alias string) bool { return alias == "lost" })
	for deadline := time.Now().Add(lab.Patience); w.Overruns() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no overrun is counted")
		}
	}
	must(t, netlink.LinkSetAlias(bridge, "after"))
	expect(t, seen, "a change after that", func(alias string) bool { return alias == "after" })
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

// TestInterfacesAndVLANs holds that it is noticed when a port gets into another VLAN, and when a bridge keeps VLANs
// apart or stops to.
func TestInterfacesAndVLANs(t *testing.T) {
	lab.NeedVLANFiltering(t)
	must(t, lab.AddBridge("br0"))
	t.Cleanup(func() { lab.DeleteLink("br0") })
	addPort(t, "a")
	w, err := watch.Interfaces()
	must(t, err)
	seen := run(t, w, func() uint16 {
		s, err := link.Take()
		if err != nil {
			return noVLAN
		}
		a, _ := s.Find("a")
		return a.VLAN
	})
	expectVLAN := func(want uint16) {
		t.Helper()
		expect(t, seen, fmt.Sprintf("VLAN %d", want), func(got uint16) bool { return got == want })
	}
	must(t, lab.FilterVLANs("br0", true))
	expectVLAN(1)
	must(t, lab.JoinVLAN("a", 10, true))
	expectVLAN(10)
	must(t, lab.LeaveVLAN("a", 10))
	expectVLAN(0)
	must(t, lab.JoinVLAN("a", 20, true))
	expectVLAN(20)
	must(t, lab.FilterVLANs("br0", false))
	expectVLAN(0)
}

// noVLAN can't be a VLAN's ID.
const noVLAN = 4095

func TestRuleset(t *testing.T) {
	g := guard.New(1)
	w, err := watch.Ruleset(guard.TableName)
	must(t, err)
	must(t, g.Apply(guard.Plan{Networks: []guard.Network{{Name: "lab", Guests: []string{"a"}}}}))
	seen := run(t, w, g.Intact)
	expect(t, seen, "the guard", func(intact bool) bool { return intact })
	must(t, guard.New(1).Remove())
	expect(t, seen, "that the guard is gone", func(intact bool) bool { return !intact })
}
