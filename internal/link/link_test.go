package link_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { os.Exit(lab.RunTests(m)) }

// addPort adds an interface, a member of bridge unless that is empty.
func addPort(t *testing.T, name, bridge string) {
	t.Helper()
	port := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "-far"}
	if err := netlink.LinkAdd(port); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lab.DeleteLink(name) })
	if bridge == "" {
		return
	}
	if err := lab.SetMaster(name, bridge); err != nil {
		t.Fatal(err)
	}
}

func addBridge(t *testing.T, name string) {
	t.Helper()
	if err := lab.AddBridge(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lab.DeleteLink(name) })
}

func members(t *testing.T, bridge string) []string {
	t.Helper()
	s, err := link.Take()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range s.Members(bridge) {
		names = append(names, m.Name)
	}
	return names
}

func TestSnapshot(t *testing.T) {
	addBridge(t, "br0")
	addBridge(t, "br1")
	addPort(t, "b", "br0")
	addPort(t, "a", "br0")
	addPort(t, "c", "br1")
	addPort(t, "d", "")
	for bridge, want := range map[string][]string{"br0": {"a", "b"}, "br1": {"c"}, "d": nil, "none": nil} {
		if got := members(t, bridge); !slices.Equal(got, want) {
			t.Errorf("members of %s: %q, want %q", bridge, got, want)
		}
	}
	s, err := link.Take()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "br0", "c": "br1", "d": "", "none": "", "br0": ""} {
		if got := s.MasterOf(name); got != want {
			t.Errorf("master of %s: %q, want %q", name, got, want)
		}
	}
	if !s.IsBridge("br0") || s.IsBridge("a") || s.IsBridge("none") {
		t.Error("IsBridge is wrong about br0, a or none")
	}
}

func TestAddresses(t *testing.T) {
	addPort(t, "a", "")
	for _, p := range []string{"10.239.0.1/24", "10.239.1.1/32"} {
		if err := lab.AddAddress("a", netip.MustParsePrefix(p)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := link.Take()
	if err != nil {
		t.Fatal(err)
	}
	l, _ := s.Find("a")
	got, err := link.Addresses(l)
	want := []netip.Addr{netip.MustParseAddr("10.239.0.1"), netip.MustParseAddr("10.239.1.1")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func TestPlugTAP(t *testing.T) {
	addBridge(t, "br0")
	addPort(t, "a", "")
	if err := link.PlugTAP("a", "br0"); err != nil {
		t.Fatal(err)
	}
	if got := members(t, "br0"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("members: %q", got)
	}
	l, err := netlink.LinkByName("a")
	if err != nil {
		t.Fatal(err)
	}
	info, err := netlink.LinkGetProtinfo(l)
	if err != nil || info.Learning {
		t.Errorf("the bridge learns from the port: %+v, %v", info, err)
	}
}

// watch runs a watcher that keeps what the bridge's members are after each change, until the test ends.
func watch(t *testing.T, bridge string) <-chan []string {
	t.Helper()
	w, err := link.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	seen := make(chan []string, 10000)
	ended := make(chan error)
	go func() { ended <- w.Run(ctx, func() { seen <- members(t, bridge) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		goleak.VerifyNone(t)
	})
	return seen
}

// expect waits until the last thing seen is want.
func expect(t *testing.T, seen <-chan []string, want ...string) {
	t.Helper()
	const patience = 30 * time.Second
	deadline := time.After(patience)
	for {
		select {
		case got := <-seen:
			if slices.Equal(got, want) {
				return
			}
		case <-deadline:
			t.Fatalf("%q was not seen in %v", want, patience)
		}
	}
}

func TestWatcher(t *testing.T) {
	addBridge(t, "br0")
	seen := watch(t, "br0")
	addPort(t, "a", "br0")
	expect(t, seen, "a")
	addPort(t, "b", "br0")
	expect(t, seen, "a", "b")
	if err := lab.DeleteLink("a"); err != nil {
		t.Fatal(err)
	}
	expect(t, seen, "b")
	if err := lab.DeleteLink("br0"); err != nil {
		t.Fatal(err)
	}
	expect(t, seen)
}

func TestWatcherAfterABurst(t *testing.T) {
	addBridge(t, "br0")
	seen := watch(t, "br0")
	var want []string
	for i := range 100 {
		name := fmt.Sprintf("p%02d", i)
		addPort(t, name, "br0")
		want = append(want, name)
	}
	expect(t, seen, want...)
}
