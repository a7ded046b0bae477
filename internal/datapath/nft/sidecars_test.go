package nft_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	mark     = 0x12345678
	loopback = 1 // its ifindex
)

// addInterface makes an interface, until the test ends, and returns a plan for it.
func addInterface(t *testing.T, name string) datapath.Sidecar {
	t.Helper()
	labtest.Must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "-far"}))
	t.Cleanup(func() { lab.DeleteLink(name) })
	l, err := net.InterfaceByName(name)
	labtest.Must(t, err)
	return datapath.Sidecar{
		Interface: name, Index: l.Index, MAC: l.HardwareAddr, RateLimit: 10000,
		Addresses: []datapath.Range{between("10.239.0.101", "10.239.0.101"), between("10.239.0.128", "10.239.0.191")},
		Routes:    []datapath.Range{between("10.9.0.0", "10.9.0.255")},
	}
}

func between(first, last string) datapath.Range {
	return datapath.Range{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}
}

func applySidecars(t *testing.T, g *nft.SidecarTable, sidecars ...datapath.Sidecar) {
	t.Helper()
	t.Cleanup(func() { nft.NewSidecarTable(group, mark).Remove() })
	labtest.Must(t, g.Apply(sidecars))
}

// listSidecars returns the table as nft lists it, or "" if there is none.
func listSidecars(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("nft", "list", "table", "netdev", nft.TableName).CombinedOutput()
	if err != nil {
		return ""
	}
	return string(out)
}

func TestSidecarsIntact(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	for name, damage := range map[string]string{
		"ruleset flushed":    "flush ruleset",
		"table deleted":      "delete table netdev arpfabric",
		"chain flushed":      "flush chain netdev arpfabric arp_of_veth0",
		"rule put in front":  "insert rule netdev arpfabric leaves_veth0 accept",
		"rule added":         "add rule netdev arpfabric enters_veth0 accept",
		"rule replaced":      "replace rule netdev arpfabric leaves_veth0 handle HANDLE accept",
		"chain added":        "add chain netdev arpfabric more",
		"policy changed":     "add chain netdev arpfabric leaves_veth0 { policy drop; }",
		"hook added":         "add chain netdev arpfabric more { type filter hook ingress device veth0 priority 0; policy drop; }",
		"set flushed":        "flush set netdev arpfabric addresses_of_veth0",
		"address added":      "add element netdev arpfabric addresses_of_veth0 { 10.239.0.7 }",
		"range made longer":  "add element netdev arpfabric addresses_of_veth0 { 10.239.0.192-10.239.0.199 }",
		"route made longer":  "add element netdev arpfabric routes_of_veth0 { 10.9.1.0/24 }",
		"tag taken out":      "delete element netdev arpfabric tags { 8021q }",
		"table made dormant": "add table netdev arpfabric { flags dormant; }",
	} {
		t.Run(name, func(t *testing.T) {
			sidecar := addInterface(t, "veth0")
			sidecar.Answerer = loopback
			g := nft.NewSidecarTable(group, mark)
			applySidecars(t, g, sidecar)
			before := listSidecars(t)
			if !g.Intact() {
				t.Fatal("an unchanged table is not intact")
			}
			damageTable(t, damage)
			if g.Intact() {
				t.Fatal("not noticed")
			}
			applySidecars(t, g, sidecar)
			if !g.Intact() {
				t.Error("not intact after it was installed again")
			}
			if now := listSidecars(t); now != before {
				t.Errorf("it is now\n%s\nand was\n%s", now, before)
			}
		})
	}
}

// TestSidecarCopyIsIntact changes the copy of a guest's own requests, which the nftables package does not read.
func TestSidecarCopyIsIntact(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	for name, copies := range map[string]string{"no copy": "", "to another device": `dup to "veth0"`} {
		t.Run(name, func(t *testing.T) {
			sidecar := addInterface(t, "veth0")
			sidecar.Answerer = loopback
			g := nft.NewSidecarTable(group, mark)
			applySidecars(t, g, sidecar)
			rule := regexp.MustCompile(`(.*)dup to "lo"(.*) # handle`).FindStringSubmatch(listChain(t, "arp_of_veth0"))
			damageTable(t, "replace rule netdev arpfabric arp_of_veth0 handle HANDLE "+rule[1]+copies+rule[2])
			if g.Intact() {
				t.Errorf("not noticed:\n%s", listSidecars(t))
			}
			applySidecars(t, g, sidecar)
			if !g.Intact() || !strings.Contains(listSidecars(t), `dup to "lo"`) {
				t.Errorf("not installed again:\n%s", listSidecars(t))
			}
		})
	}
}

// listChain returns a chain of the table as nft lists it, with handles.
func listChain(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("nft", "--handle", "list", "chain", "netdev", nft.TableName, name).CombinedOutput()
	if err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
	return string(out)
}

// TestMarkIsTakenOver replaces the table of one process by that of another: answers on their way must pass.
func TestMarkIsTakenOver(t *testing.T) {
	sidecar := addInterface(t, "veth0")
	sidecar.Answerer = loopback
	marks := map[string]bool{}
	for range 2 {
		d := newDatapath(t)
		labtest.Must(t, d.Open())
		applyTo(t, d, datapath.Plan{Sidecars: []datapath.Sidecar{sidecar}})
		marks[regexp.MustCompile("meta mark set (0x[0-9a-f]+)").FindStringSubmatch(listSidecars(t))[1]] = true
		labtest.Must(t, d.Close())
	}
	if len(marks) != 1 {
		t.Errorf("the marks are %v", marks)
	}
}

func TestApplySidecarsRepeatedly(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	first, second := addInterface(t, "veth0"), addInterface(t, "veth-1.x")
	g := nft.NewSidecarTable(group, mark)
	applySidecars(t, g)
	if listSidecars(t) != "" {
		t.Error("a table for nothing")
	}
	for _, sidecars := range [][]datapath.Sidecar{{first}, {first, second}, {second}, {}, {first}} {
		applySidecars(t, g, sidecars...)
		listed := listSidecars(t)
		if n := strings.Count(listed, "hook egress device"); n != len(sidecars) {
			t.Errorf("%d of %d interfaces in\n%s", n, len(sidecars), listed)
		}
		if !g.Intact() {
			t.Errorf("not intact with %v", sidecars)
		}
	}
	labtest.Must(t, g.Remove())
	labtest.Must(t, g.Remove())
	if listSidecars(t) != "" {
		t.Error("still there")
	}
}

// TestIsThereWithoutPrivilege checks that IsThere returns false in a process that may not list tables.
func TestIsThereWithoutPrivilege(t *testing.T) {
	sidecars, bridges := nft.NewSidecarTable(group, mark), nft.NewBridgeTable(group)
	applySidecars(t, sidecars, addInterface(t, "veth0"))
	apply(t, bridges, plan())
	if !sidecars.IsThere() || !bridges.IsThere() {
		t.Fatal("there is no table")
	}
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends with its changed capabilities
		var none [2]unix.CapUserData
		err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0])
		if err == nil && (sidecars.IsThere() || bridges.IsThere()) {
			err = errors.New("it may look")
		}
		failed <- err
	}()
	labtest.Must(t, <-failed)
}

// TestSidecarIsRecreated deletes the interface. Some kernels delete its chains with it.
func TestSidecarIsRecreated(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	g := nft.NewSidecarTable(group, mark)
	applySidecars(t, g, addInterface(t, "veth0"))
	labtest.Must(t, lab.DeleteLink("veth0"))
	if !g.Intact() {
		t.Error("the table counts as changed")
	}
	applySidecars(t, g, addInterface(t, "veth0"))
	if listed := listSidecars(t); strings.Count(listed, `device "veth0"`) != 2 || !g.Intact() {
		t.Errorf("intact: %v\n%s", g.Intact(), listed)
	}
}

// TestApplySidecarsFails checks that the old table stays in force after an error.
func TestApplySidecarsFails(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	sidecar := addInterface(t, "veth0")
	g := nft.NewSidecarTable(group, mark)
	applySidecars(t, g, sidecar)
	before := listSidecars(t)
	nameless := sidecar
	nameless.Interface = "longer-than-a-name-can-be"
	if err := g.Apply([]datapath.Sidecar{nameless}); err == nil {
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
	g := nft.NewSidecarTable(group, mark)
	applySidecars(t, g, sidecar)
	if !g.Intact() {
		t.Error("not intact")
	}
}

// TestSidecarListing checks that every rule has a comment, with every kind of guard.
func TestSidecarListing(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	sidecar := addInterface(t, "veth0")
	for name, change := range map[string]func(*datapath.Sidecar){
		"full":     func(*datapath.Sidecar) {},
		"arp":      func(s *datapath.Sidecar) { s.ARPOnly = true },
		"ipv6":     func(s *datapath.Sidecar) { s.PassIPv6 = true },
		"observed": func(s *datapath.Sidecar) { s.Observed, s.RateLimit = true, 0 },
		"answered": func(s *datapath.Sidecar) { s.Answerer = loopback },
	} {
		t.Run(name, func(t *testing.T) {
			changed := sidecar
			change(&changed)
			applySidecars(t, nft.NewSidecarTable(group, mark), changed)
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
