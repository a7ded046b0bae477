package link_test

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/vishvananda/netlink"
)

func TestMain(m *testing.M) { os.Exit(labtest.RunTests(m)) }

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
	s, err := link.ReadSnapshot()
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
	s, err := link.ReadSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "br0", "c": "br1", "d": "", "none": "", "br0": ""} {
		if got := s.MasterOf(name); got != want {
			t.Errorf("master of %s: %q, want %q", name, got, want)
		}
	}
	if got := s.Bridges(); !slices.Equal(got, []string{"br0", "br1"}) {
		t.Errorf("bridges: %q", got)
	}
	if !s.IsBridge("br0") || s.IsBridge("a") || s.IsBridge("none") {
		t.Error("IsBridge is wrong about br0, a or none")
	}
}

func TestAddresses(t *testing.T) {
	addPort(t, "a", "")
	for _, p := range []string{"10.239.0.1/24", "10.239.1.1/32"} {
		if err := labtest.AddAddress("a", netip.MustParsePrefix(p)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := link.ReadSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	l, _ := s.Find("a")
	got, err := link.Addresses(l)
	want := []netip.Addr{netip.MustParseAddr("10.239.0.1"), netip.MustParseAddr("10.239.1.1")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	prefixes, err := link.Prefixes(l)
	wantPrefixes := []netip.Prefix{netip.MustParsePrefix("10.239.0.1/24"), netip.MustParsePrefix("10.239.1.1/32")}
	if err != nil || !slices.Equal(prefixes, wantPrefixes) {
		t.Errorf("%v, %v; want %v", prefixes, err, wantPrefixes)
	}
}

func TestAddTAPToBridge(t *testing.T) {
	addBridge(t, "br0")
	addPort(t, "a", "")
	if err := link.AddTAPToBridge("a", "br0"); err != nil {
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

func TestVLANs(t *testing.T) {
	labtest.NeedVLANFiltering(t)
	addBridge(t, "br0")
	addBridge(t, "br1") // does not filter
	for _, name := range []string{"access", "trunk", "tagged", "none", "full"} {
		addPort(t, name, "br0")
	}
	addPort(t, "other", "br1")
	labtest.Must(t, labtest.FilterVLANs("br0", true))
	join := func(port string, vlan uint16, access bool) {
		t.Helper()
		labtest.Must(t, labtest.LeaveVLAN(port, 1)) // the VLAN of new members
		labtest.Must(t, labtest.JoinVLAN(port, vlan, access))
	}
	join("access", 10, true)
	join("trunk", 10, false)
	join("tagged", 10, false)
	tagged, err := netlink.LinkByName("tagged")
	labtest.Must(t, err)
	labtest.Must(t, netlink.BridgeVlanAdd(tagged, 10, true, false, false, false)) // untagged on ingress, tagged on egress
	labtest.Must(t, labtest.LeaveVLAN("none", 1))
	labtest.Must(t, labtest.JoinVLAN("full", 4000, true))
	full, err := netlink.LinkByName("full")
	labtest.Must(t, err)
	labtest.Must(t, netlink.BridgeVlanAddRange(full, 1, 3999, false, false, false, false))
	labtest.Must(t, netlink.BridgeVlanAddRange(full, 4001, 4094, false, false, false, false))

	s, err := link.ReadSnapshot()
	labtest.Must(t, err)
	if !s.FiltersVLANs("br0") || s.FiltersVLANs("br1") || s.FiltersVLANs("access") || s.FiltersVLANs("nothing") {
		t.Error("FiltersVLANs is wrong about br0, br1, access or nothing")
	}
	for name, want := range map[string]uint16{
		"access": 10, "trunk": 0, "tagged": 0, "none": 0, "full": 4000, "other": 0, "br0": 1, "br1": 0,
	} {
		if l, _ := s.Find(name); l.VLAN != want {
			t.Errorf("VLAN of %s: %d, want %d", name, l.VLAN, want)
		}
	}
	labtest.Must(t, labtest.FilterVLANs("br0", false))
	s, err = link.ReadSnapshot()
	labtest.Must(t, err)
	if l, _ := s.Find("access"); l.VLAN != 0 {
		t.Errorf("VLAN of access where VLANs are not filtered: %d", l.VLAN)
	}
}

func TestHostIn(t *testing.T) {
	labtest.NeedVLANFiltering(t)
	addBridge(t, "br0")
	addBridge(t, "br1")
	labtest.Must(t, labtest.AddVLANDevice("br0.10", "br0", 10))
	labtest.Must(t, labtest.AddVLANDevice("br1.20", "br1", 20))
	host := func(vlan uint16) string {
		t.Helper()
		s, err := link.ReadSnapshot()
		labtest.Must(t, err)
		l, ok := s.HostIn("br0", vlan)
		if ok != (l.Name != "") {
			t.Errorf("HostIn returns %q, %v", l.Name, ok)
		}
		return l.Name
	}
	if got := host(10); got != "" {
		t.Errorf("without filtering, the host is in VLAN 10 with %q", got)
	}
	labtest.Must(t, labtest.FilterVLANs("br0", true))
	for vlan, want := range map[uint16]string{1: "br0", 10: "br0.10", 20: "", 30: ""} {
		if got := host(vlan); got != want {
			t.Errorf("the host is in VLAN %d with %q, want %q", vlan, got, want)
		}
	}
	labtest.Must(t, labtest.JoinVLAN("br0", 10, true))
	if got := host(10); got != "br0" {
		t.Errorf("when the bridge is in VLAN 10 the host is with %q", got)
	}
}
