package watch_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/watch"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { os.Exit(labtest.RunTests(m)) }

// run runs a watcher, until the test ends, and sends the result of look after each change.
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

// expect waits for a value that fits.
func expect[T any](t *testing.T, seen <-chan T, what string, fits func(T) bool) {
	t.Helper()
	deadline := time.After(labtest.Patience)
	for {
		select {
		case got := <-seen:
			if fits(got) {
				return
			}
		case <-deadline:
			t.Fatalf("%s was not seen in %v", what, labtest.Patience)
		}
	}
}

// watchMembers watches the members of br0.
func watchMembers(t *testing.T) <-chan []string {
	t.Helper()
	labtest.Must(t, lab.AddBridge("br0"))
	t.Cleanup(func() { lab.DeleteLink("br0") })
	w, err := watch.Interfaces()
	labtest.Must(t, err)
	return run(t, w, func() []string {
		s, err := link.ReadSnapshot()
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
	labtest.Must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "-far"}))
	labtest.Must(t, lab.SetMaster(name, "br0"))
}

func TestInterfaces(t *testing.T) {
	seen := watchMembers(t)
	addPort(t, "a")
	expectMembers(t, seen, "a")
	addPort(t, "b")
	expectMembers(t, seen, "a", "b")
	labtest.Must(t, lab.DeleteLink("a"))
	expectMembers(t, seen, "b")
	labtest.Must(t, lab.DeleteLink("br0"))
	expectMembers(t, seen)
}

// TestOverrun causes more changes than the socket can buffer before the watcher reads. The watcher counts the overrun,
// treats it as a change, and notices the next change as well.
func TestOverrun(t *testing.T) {
	labtest.Must(t, lab.AddBridge("br0"))
	t.Cleanup(func() { lab.DeleteLink("br0") })
	w, err := watch.Interfaces()
	labtest.Must(t, err)
	bridge, err := netlink.LinkByName("br0")
	labtest.Must(t, err)
	for range 20_000 {
		labtest.Must(t, netlink.LinkSetAlias(bridge, "before"))
	}
	labtest.Must(t, netlink.LinkSetAlias(bridge, "lost"))
	alias := func() string {
		l, err := netlink.LinkByName("br0")
		if err != nil {
			return err.Error()
		}
		return l.Attrs().Alias
	}
	seen := run(t, w, alias)
	expect(t, seen, "what was lost", func(alias string) bool { return alias == "lost" })
	for deadline := time.Now().Add(labtest.Patience); w.Overruns() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no overrun is counted")
		}
	}
	labtest.Must(t, netlink.LinkSetAlias(bridge, "after"))
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

// TestInterfacesAndVLANs checks that the watcher notices when a port joins another VLAN, and when a bridge starts or
// stops filtering VLANs.
func TestInterfacesAndVLANs(t *testing.T) {
	labtest.NeedVLANFiltering(t)
	labtest.Must(t, lab.AddBridge("br0"))
	t.Cleanup(func() { lab.DeleteLink("br0") })
	addPort(t, "a")
	w, err := watch.Interfaces()
	labtest.Must(t, err)
	seen := run(t, w, func() uint16 {
		s, err := link.ReadSnapshot()
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
	labtest.Must(t, labtest.FilterVLANs("br0", true))
	expectVLAN(1)
	labtest.Must(t, labtest.JoinVLAN("a", 10, true))
	expectVLAN(10)
	labtest.Must(t, labtest.LeaveVLAN("a", 10))
	expectVLAN(0)
	labtest.Must(t, labtest.JoinVLAN("a", 20, true))
	expectVLAN(20)
	labtest.Must(t, labtest.FilterVLANs("br0", false))
	expectVLAN(0)
}

// noVLAN is not a valid VLAN ID.
const noVLAN = 4095
