package link_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestNeighbors(t *testing.T) {
	addPort(t, "a", "")
	for _, name := range []string{"a", "a-far"} {
		if err := link.Up(name); err != nil {
			t.Fatal(err)
		}
	}
	a, err := net.InterfaceByName("a")
	if err != nil {
		t.Fatal(err)
	}
	n, err := link.OpenNeighbors()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	first, second, permanent := netip.MustParseAddr("10.239.0.1"), netip.MustParseAddr("10.239.0.2"), netip.MustParseAddr("10.239.0.3")
	mac, other := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	add := func(addr netip.Addr, state int) {
		t.Helper()
		must(netlink.NeighSet(&netlink.Neigh{
			LinkIndex: a.Index, Family: unix.AF_INET, State: state, IP: addr.AsSlice(), HardwareAddr: mac,
		}))
	}
	expect := func(addr netip.Addr, want string) {
		t.Helper()
		learned, err := n.Learned(a.Index)
		must(err)
		if got := learned[addr].String(); got != want {
			t.Errorf("%s is at %q, want %q", addr, got, want)
		}
	}
	must(n.Set(a.Index, first, mac))
	expect(first, "") // nobody looks for it
	add(first, unix.NUD_STALE)
	add(second, unix.NUD_STALE)
	add(permanent, unix.NUD_PERMANENT)
	expect(first, mac.String())
	must(n.Set(a.Index, first, other))
	expect(first, other.String())
	expect(second, mac.String())
	must(n.Delete(a.Index, first))
	must(n.Delete(a.Index, first))
	expect(first, "")
	must(n.Fail(a.Index, second))
	must(n.Fail(a.Index, first))

	must(n.Set(a.Index, permanent, other))
	must(n.Fail(a.Index, permanent))
	must(n.Delete(a.Index, permanent))
	expect(permanent, "")
	entries, err := netlink.NeighList(a.Index, unix.AF_INET)
	must(err)
	for _, e := range entries {
		if e.IP.Equal(permanent.AsSlice()) && e.State == unix.NUD_PERMANENT && e.HardwareAddr.String() == mac.String() {
			return
		}
	}
	t.Errorf("the permanent entry is gone: %v", entries)
}
