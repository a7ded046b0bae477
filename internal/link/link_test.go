package link_test

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/vishvananda/netlink"
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
	if first := l.Attrs().HardwareAddr[0]; first != 0xfe {
		t.Errorf("its MAC begins with %02x", first)
	}
}
