package guard_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/google/nftables"
)

func TestMain(m *testing.M) { os.Exit(lab.RunTests(m)) }

const group = 16722

func apply(t *testing.T, g *guard.Guard, p guard.Plan) {
	t.Helper()
	t.Cleanup(func() { guard.New(group).Remove() })
	if err := g.Apply(p); err != nil {
		t.Fatal(err)
	}
}

// inKernel returns what the table's sets of ports hold, or nil where there is no table.
func inKernel(t *testing.T) map[string][]string {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	table := &nftables.Table{Name: guard.TableName, Family: nftables.TableFamilyBridge}
	sets, err := c.GetSets(table)
	if err != nil {
		return nil
	}
	held := map[string][]string{}
	for _, s := range sets {
		elements, err := c.GetSetElements(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range elements {
			held[s.Name] = append(held[s.Name], strings.TrimRight(string(e.Key), "\x00"))
		}
		slices.Sort(held[s.Name])
	}
	delete(held, "tags")
	return held
}

func expect(t *testing.T, set string, want ...string) {
	t.Helper()
	if got := inKernel(t)[set]; !slices.Equal(got, want) {
		t.Errorf("set %s holds %q, want %q", set, got, want)
	}
}

func TestApplyChangesTheDifference(t *testing.T) {
	g := guard.New(group)
	apply(t, g, guard.Plan{Guests: []string{"vnet0", "vnet1"}, Uplinks: []string{"eth1"}})
	expect(t, "guests", "vnet0", "vnet1")
	expect(t, "uplinks", "eth1")
	expect(t, "observed")

	apply(t, g, guard.Plan{Guests: []string{"vnet1", "vnet2"}, Observed: []string{"vnet0"}, Steered: []string{"a"}, TAPs: []string{"arp0"}})
	expect(t, "guests", "vnet1", "vnet2")
	expect(t, "observed", "vnet0")
	expect(t, "steered", "a")
	expect(t, "taps", "arp0")
	expect(t, "uplinks")
}

func TestApplyTakesOverWhatAnotherFabricLeft(t *testing.T) {
	apply(t, guard.New(group), guard.Plan{Guests: []string{"old"}})
	apply(t, guard.New(group), guard.Plan{Guests: []string{"new"}})
	expect(t, "guests", "new")
}

func TestApplyAfterTheTableWasFlushed(t *testing.T) {
	g := guard.New(group)
	apply(t, g, guard.Plan{Guests: []string{"vnet0"}})
	if err := guard.New(group).Remove(); err != nil {
		t.Fatal(err)
	}
	apply(t, g, guard.Plan{Guests: []string{"vnet0", "vnet1"}})
	expect(t, "guests", "vnet0", "vnet1")
}

func TestApplyManyPorts(t *testing.T) {
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf("vnet%04d", i))
	}
	g := guard.New(group)
	apply(t, g, guard.Plan{Guests: many})
	expect(t, "guests", many...)
}

func TestIntact(t *testing.T) {
	lab.NeedProgram(t, "nft")
	plan := guard.Plan{Guests: []string{"vnet0", "vnet1"}, Uplinks: []string{"eth1"}}
	for name, damage := range map[string]string{
		"ruleset flushed":    "flush ruleset",
		"table deleted":      "delete table bridge arpfabric",
		"table flushed":      "flush table bridge arpfabric",
		"chain flushed":      "flush chain bridge arpfabric hand_over",
		"rule put in front":  "insert rule bridge arpfabric prerouting accept",
		"rule added":         "add rule bridge arpfabric forward accept",
		"set flushed":        "flush set bridge arpfabric guests",
		"port taken out":     "delete element bridge arpfabric guests { vnet1 }",
		"uplink added":       "add element bridge arpfabric uplinks { vnet1 }",
		"table made dormant": "add table bridge arpfabric { flags dormant; }",
	} {
		t.Run(name, func(t *testing.T) {
			g := guard.New(group)
			apply(t, g, plan)
			if !g.Intact() {
				t.Fatal("a guard that nobody touched is not intact")
			}
			if out, err := exec.Command("nft", damage).CombinedOutput(); err != nil {
				t.Fatalf("nft %s: %v: %s", damage, err, out)
			}
			if g.Intact() {
				t.Fatal("not noticed")
			}
			apply(t, g, plan)
			if !g.Intact() {
				t.Error("not intact after it was installed anew")
			}
			expect(t, "guests", "vnet0", "vnet1")
			expect(t, "uplinks", "eth1")
		})
	}
}

func TestIntactAfterChanges(t *testing.T) {
	g := guard.New(group)
	if !g.Intact() {
		t.Error("a guard that was never applied is not intact")
	}
	for _, ports := range [][]string{{"c", "a", "b"}, {"b"}, {"b", "z", "y"}, nil} {
		apply(t, g, guard.Plan{Guests: ports})
		if !g.Intact() {
			t.Errorf("not intact with %q", ports)
		}
	}
}

func TestRemove(t *testing.T) {
	g := guard.New(group)
	apply(t, g, guard.Plan{Guests: []string{"vnet0"}})
	for range 2 { // it is no error if there is none
		if err := g.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if held := inKernel(t); len(held) > 0 {
		t.Errorf("still there: %v", held)
	}
	apply(t, g, guard.Plan{Guests: []string{"vnet0"}})
	expect(t, "guests", "vnet0")
}

// TestListing holds that nft can show the table and that it reads as documentation: each rule of each
// chain says what it is there for.
func TestListing(t *testing.T) {
	lab.NeedProgram(t, "nft")
	apply(t, guard.New(group), guard.Plan{Guests: []string{"vnet0", "vnet1"}, TAPs: []string{"arp0"}})
	out, err := exec.Command("nft", "list", "table", "bridge", guard.TableName).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rules := 0
	inChain := false
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "chain "):
			inChain = true
		case line == "}":
			inChain = false
		case inChain && !strings.HasPrefix(line, "type filter hook"):
			rules++
			if !strings.Contains(line, `comment "`) {
				t.Errorf("no comment: %s", line)
			}
		}
	}
	if rules < 20 {
		t.Errorf("%d rules in\n%s", rules, out)
	}
}
