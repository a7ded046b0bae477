package link_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
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
	first, second, permanent := netip.MustParseAddr("10.239.0.1"), netip.MustParseAddr("10.239.0.2"), netip.MustParseAddr("10.239.0.3")
	mac, other := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	add := func(addr netip.Addr, state int) {
		t.Helper()
		labtest.Must(t, netlink.NeighSet(&netlink.Neigh{
			LinkIndex: a.Index, Family: unix.AF_INET, State: state, IP: addr.AsSlice(), HardwareAddr: mac,
		}))
	}
	expect := func(addr netip.Addr, want string) {
		t.Helper()
		learned, err := n.Learned(a.Index)
		labtest.Must(t, err)
		if got := learned[addr].String(); got != want {
			t.Errorf("%s is at %q, want %q", addr, got, want)
		}
	}
	labtest.Must(t, n.Set(a.Index, first, mac))
	expect(first, "") // the kernel has no entry that waits for it
	add(first, unix.NUD_STALE)
	add(second, unix.NUD_STALE)
	add(permanent, unix.NUD_PERMANENT)
	expect(first, mac.String())
	labtest.Must(t, n.Set(a.Index, first, other))
	expect(first, other.String())
	expect(second, mac.String())
	labtest.Must(t, n.Delete(a.Index, first))
	labtest.Must(t, n.Delete(a.Index, first))
	expect(first, "")
	labtest.Must(t, n.Fail(a.Index, second))
	labtest.Must(t, n.Fail(a.Index, first))

	labtest.Must(t, n.Set(a.Index, permanent, other))
	labtest.Must(t, n.Fail(a.Index, permanent))
	labtest.Must(t, n.Delete(a.Index, permanent))
	expect(permanent, "")
	entries, err := netlink.NeighList(a.Index, unix.AF_INET)
	labtest.Must(t, err)
	for _, e := range entries {
		if e.IP.Equal(permanent.AsSlice()) && e.State == unix.NUD_PERMANENT && e.HardwareAddr.String() == mac.String() {
			return
		}
	}
	t.Errorf("the permanent entry is gone: %v", entries)
}
