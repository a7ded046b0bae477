package guard_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const mark = 0x12345678

// addInterface makes an interface, until the test ends, and returns how it is guarded.
func addInterface(t *testing.T, name string) guard.Sidecar {
	t.Helper()
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "-far"}))
	t.Cleanup(func() { lab.DeleteLink(name) })
	l, err := net.InterfaceByName(name)
	must(t, err)
	return guard.Sidecar{
		Interface: name, Index: l.Index, MAC: l.HardwareAddr, RateLimit: 10000,
		Addresses: []guard.Range{between("10.239.0.101", "10.239.0.101"), between("10.239.0.128", "10.239.0.191")},
	}
}

func between(first, last string) guard.Range {
	return guard.Range{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func applySidecars(t *testing.T, g *guard.Sidecars, sidecars ...guard.Sidecar) {
	t.Helper()
	t.Cleanup(func() { guard.NewSidecars(group, mark).Remove() })
	must(t, g.Apply(sidecars))
}

// listSidecars returns the table as nft shows it, or nothing where there is none.
func listSidecars(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("nft", "list", "table", "netdev", guard.TableName).CombinedOutput()
	if err != nil {
		return ""
	}
	return string(out)
}

func TestSidecarsIntact(t *testing.T) {
	lab.NeedProgram(t, "nft")
	for name, damage := range map[string]string{
		"ruleset flushed":    "flush ruleset",
		"table deleted":      "delete table netdev arpfabric",
		"chain flushed":      "flush chain netdev arpfabric asked_by_veth0",
		"rule put in front":  "insert rule netdev arpfabric leaves_veth0 accept",
		"rule added":         "add rule netdev arpfabric enters_veth0 accept",
		"chain added":        "add chain netdev arpfabric more",
		"policy changed":     "add chain netdev arpfabric leaves_veth0 { policy drop; }",
		"hook added":         "add chain netdev arpfabric more { type filter hook ingress device veth0 priority 0; policy drop; }",
		"set flushed":        "flush set netdev arpfabric addresses_of_veth0",
		"address added":      "add element netdev arpfabric addresses_of_veth0 { 10.239.0.7 }",
		"range made longer":  "add element netdev arpfabric addresses_of_veth0 { 10.239.0.192-10.239.0.199 }",
		"tag taken out":      "delete element netdev arpfabric tags { 8021q }",
		"table made dormant": "add table netdev arpfabric { flags dormant; }",
	} {
		t.Run(name, func(t *testing.T) {
			sidecar := addInterface(t, "veth0")
			g := guard.NewSidecars(group, mark)
			applySidecars(t, g, sidecar)
			before := listSidecars(t)
			if !g.Intact() {
				t.Fatal("a table that nobody touched is not intact")
			}
			if out, err := exec.Command("nft", damage).CombinedOutput(); err != nil {
				t.Fatalf("nft %s: %v: %s", damage, err, out)
			}
			if g.Intact() {
				t.Fatal("not noticed")
			}
			applySidecars(t, g, sidecar)
			if !g.Intact() {
				t.Error("not intact after it was installed anew")
			}
			if now := listSidecars(t); now != before {
				t.Errorf("it is now\n%s\nand was\n%s", now, before)
			}
		})
	}
}

func TestSidecarsComeAndGo(t *testing.T) {
	lab.NeedProgram(t, "nft")
	first, second := addInterface(t, "veth0"), addInterface(t, "veth-1.x")
	g := guard.NewSidecars(group, mark)
	applySidecars(t, g)
	if listSidecars(t) != "" {
		t.Error("a table for nothing")
	}
	for _, sidecars := range [][]guard.Sidecar{{first}, {first, second}, {second}, {}, {first}} {
		applySidecars(t, g, sidecars...)
		listed := listSidecars(t)
		if n := strings.Count(listed, "hook egress device"); n != len(sidecars) {
			t.Errorf("%d of %d interfaces in\n%s", n, len(sidecars), listed)
		}
		if !g.Intact() {
			t.Errorf("not intact with %v", sidecars)
		}
	}
	must(t, g.Remove())
	must(t, g.Remove())
	if listSidecars(t) != "" {
		t.Error("still there")
	}
}

// TestUnprivilegedLook holds that to a process that may not look, there is no table.
func TestUnprivilegedLook(t *testing.T) {
	sidecars, bridges := guard.NewSidecars(group, mark), guard.New(group)
	applySidecars(t, sidecars, addInterface(t, "veth0"))
	apply(t, bridges, plan())
	if !sidecars.IsThere() || !bridges.IsThere() {
		t.Fatal("there is no table")
	}
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with its capabilities
		var none [2]unix.CapUserData
		err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0])
		if err == nil && (sidecars.IsThere() || bridges.IsThere()) {
			err = errors.New("it may look")
		}
		failed <- err
	}()
	must(t, <-failed)
}

// TestSidecarIsMadeAnew deletes the interface, with which a kernel may delete its chains.
func TestSidecarIsMadeAnew(t *testing.T) {
	lab.NeedProgram(t, "nft")
	g := guard.NewSidecars(group, mark)
	applySidecars(t, g, addInterface(t, "veth0"))
	must(t, lab.DeleteLink("veth0"))
	if !g.Intact() {
		t.Error("somebody is said to have changed the table")
	}
	applySidecars(t, g, addInterface(t, "veth0"))
	if listed := listSidecars(t); strings.Count(listed, `device "veth0"`) != 2 || !g.Intact() {
		t.Errorf("intact: %v\n%s", g.Intact(), listed)
	}
}

// TestSidecarThatCantBe holds that what was there stays in force after an error.
func TestSidecarThatCantBe(t *testing.T) {
	lab.NeedProgram(t, "nft")
	sidecar := addInterface(t, "veth0")
	g := guard.NewSidecars(group, mark)
	applySidecars(t, g, sidecar)
	before := listSidecars(t)
	nameless := sidecar
	nameless.Interface = "longer-than-a-name-can-be"
	if err := g.Apply([]guard.Sidecar{nameless}); err == nil {
		t.Error("an interface that can't be is guarded")
	}
	if now := listSidecars(t); now != before {
		t.Errorf("it is now\n%s\nand was\n%s", now, before)
	}
	applySidecars(t, g, sidecar)
	if !g.Intact() {
		t.Error("not intact after it was installed again")
	}
}

func TestSidecarWithManyAddresses(t *testing.T) {
	sidecar := addInterface(t, "veth0")
	sidecar.Addresses = nil
	for i := range 5000 {
		addr := fmt.Sprintf("10.%d.%d.1", i>>8, i&255)
		sidecar.Addresses = append(sidecar.Addresses, between(addr, addr))
	}
	g := guard.NewSidecars(group, mark)
	applySidecars(t, g, sidecar)
	if !g.Intact() {
		t.Error("not intact")
	}
}

// TestSidecarListing holds that each rule says what it is there for, however the interface is guarded.
func TestSidecarListing(t *testing.T) {
	lab.NeedProgram(t, "nft")
	sidecar := addInterface(t, "veth0")
	for name, change := range map[string]func(*guard.Sidecar){
		"full":     func(*guard.Sidecar) {},
		"arp":      func(s *guard.Sidecar) { s.ARPOnly = true },
		"ipv6":     func(s *guard.Sidecar) { s.PassIPv6 = true },
		"observed": func(s *guard.Sidecar) { s.Observed, s.RateLimit = true, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			changed := sidecar
			change(&changed)
			applySidecars(t, guard.NewSidecars(group, mark), changed)
			listed := listSidecars(t)
			rules := 0
			for line := range strings.Lines(listed[strings.Index(listed, "\tchain"):]) {
				line = strings.TrimSpace(line)
				if line == "" || line == "}" || strings.HasPrefix(line, "chain ") || strings.HasPrefix(line, "type filter hook") {
					continue
				}
				rules++
				if !strings.Contains(line, `comment "`) {
					t.Errorf("no comment: %s", line)
				}
			}
			if rules < 14 {
				t.Errorf("%d rules in\n%s", rules, listed)
			}
		})
	}
}
