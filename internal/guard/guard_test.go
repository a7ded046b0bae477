package guard_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

func TestMain(m *testing.M) { os.Exit(lab.RunTests(m)) }

const group = 16722

// plan guards the ARP of one network.
func plan(with ...func(*guard.Network)) guard.Plan {
	n := guard.Network{Name: "lab"}
	for _, do := range with {
		do(&n)
	}
	return guard.Plan{Networks: []guard.Network{n}}
}

func guests(ports ...string) func(*guard.Network) {
	return func(n *guard.Network) { n.Guests = ports }
}

func uplinks(ports ...string) func(*guard.Network) {
	return func(n *guard.Network) { n.Uplinks = ports }
}

// allowList enforces one of these bindings.
func allowList(t *testing.T, bindings ...responder.Binding) func(*guard.Network) {
	t.Helper()
	registry, err := responder.NewRegistry(slices.Values(bindings))
	if err != nil {
		t.Fatal(err)
	}
	return func(n *guard.Network) { n.AllowList, n.Registry = guard.Enforce, registry }
}

func binding(first, last, mac, port string) responder.Binding {
	m, err := responder.ParseMAC(mac)
	if err != nil {
		panic(err)
	}
	return responder.Binding{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last), MAC: m, Port: port}
}

// fullPlan has everything that a plan can have.
func fullPlan(t *testing.T) guard.Plan {
	t.Helper()
	p := plan(guests("vnet0", "vnet1"), uplinks("eth1"), allowList(t,
		binding("10.239.0.1", "10.239.0.1", "02:00:00:de:54:a8", ""),
		binding("10.239.0.2", "10.239.0.2", "02:00:01:de:54:a8", "vnet1"),
		binding("10.239.0.16", "10.239.0.31", "02:00:02:de:54:a8", ""),
		binding("10.239.0.32", "10.239.0.63", "02:00:03:de:54:a8", "vnet0"),
	))
	full := &p.Networks[0]
	full.Bridge, full.RateLimit, full.PassIPv6, full.Host = "br0", 1000, true, []responder.MAC{{2, 0, 0, 0, 0, 1}}
	p.Networks = append(p.Networks,
		guard.Network{Name: "dry", Bridge: "br1", Guests: []string{"vnet2"}, ARP: guard.Observe, AllowList: guard.Report, Registry: full.Registry, RateLimit: 5},
		guard.Network{Name: "steered", Bridge: "br2", Guests: []string{"vnet3"}, ARP: guard.Steer, TAP: "arp0"},
		guard.Network{Name: "blue", Bridge: "br3", VLAN: 10, Guests: []string{"vnet4"}},
		guard.Network{Name: "green", Bridge: "br3", VLAN: 20, Guests: []string{"vnet5"}},
	)
	return p
}

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
	apply(t, g, plan(guests("vnet0", "vnet1"), uplinks("eth1")))
	expect(t, "guests", "vnet0", "vnet1")
	expect(t, "uplinks", "eth1")

	apply(t, g, guard.Plan{Networks: []guard.Network{
		{Name: "lab", Guests: []string{"vnet1", "vnet2"}},
		{Name: "dry", Guests: []string{"vnet0"}, ARP: guard.Observe},
		{Name: "tap", Guests: []string{"a"}, ARP: guard.Steer, TAP: "arp0"},
	}})
	expect(t, "guests", "vnet1", "vnet2")
	expect(t, "ports", "a", "vnet0", "vnet1", "vnet2")
	expect(t, "steered", "a")
	expect(t, "taps", "arp0")
	expect(t, "uplinks")
}

func TestApplyTakesOverWhatAnotherFabricLeft(t *testing.T) {
	apply(t, guard.New(group), plan(guests("old")))
	apply(t, guard.New(group), plan(guests("new")))
	expect(t, "guests", "new")
}

func TestApplyAfterTheTableWasFlushed(t *testing.T) {
	g := guard.New(group)
	apply(t, g, plan(guests("vnet0")))
	if err := guard.New(group).Remove(); err != nil {
		t.Fatal(err)
	}
	apply(t, g, plan(guests("vnet0", "vnet1")))
	expect(t, "guests", "vnet0", "vnet1")
}

// TestApplyClosesFirst holds that a table that somebody has deleted is back, with rules and ports, before the bindings are,
// which may be many.
func TestApplyClosesFirst(t *testing.T) {
	g := guard.New(group)
	apply(t, g, fullPlan(t))
	must(t, guard.New(group).Remove())
	transactions := monitor(t)
	apply(t, g, fullPlan(t))
	made := transactions()
	if len(made) != 2 {
		t.Fatalf("%d transactions, want 2", len(made))
	}
	for i, want := range []struct{ rules, ports, bindings bool }{{true, true, false}, {false, false, true}} {
		of := made[i]
		if of.rules > 0 != want.rules || of.holds("vnet2\x00") != want.ports || of.holds("\x02\x00\x00\xde\x54\xa8") != want.bindings {
			t.Errorf("transaction %d: %d rules, elements %q; want %+v", i+1, of.rules, of.elements, want)
		}
	}
	if !g.Intact() {
		t.Error("not intact")
	}
}

// A transaction is what somebody changed at once: how many rules came, and the keys of the elements that did.
type transaction struct {
	rules    int
	elements []string
}

func (of transaction) holds(beginning string) bool {
	return slices.ContainsFunc(of.elements, func(key string) bool { return strings.HasPrefix(key, beginning) })
}

// monitor hears of transactions. It returns a function that ends that and returns those there were.
func monitor(t *testing.T) func() []transaction {
	t.Helper()
	c, err := nftables.New()
	must(t, err)
	m := nftables.NewMonitor()
	heard, err := c.AddGenerationalMonitor(m)
	must(t, err)
	return func() []transaction {
		t.Helper()
		defer m.Close()
		must(t, changeAnotherTable()) // the last that is heard of
		var all []transaction
		for events := range heard {
			must(t, events.GeneratedBy.Error)
			var of transaction
			for _, e := range events.Changes {
				switch data := e.Data.(type) {
				case *nftables.Table:
					if data.Name != guard.TableName {
						return all
					}
				case *nftables.Rule:
					of.rules++
				case []nftables.SetElement:
					for _, element := range data {
						of.elements = append(of.elements, string(element.Key))
					}
				}
			}
			all = append(all, of)
		}
		t.Fatal("nothing more is heard")
		return nil
	}
}

func TestApplyManyPorts(t *testing.T) {
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf("vnet%04d", i))
	}
	g := guard.New(group)
	apply(t, g, plan(guests(many...)))
	expect(t, "guests", many...)
}

// TestApplyWhileOthersChangeNftables has somebody change another table all the time while a large plan is applied, changed
// and changed back.
func TestApplyWhileOthersChangeNftables(t *testing.T) {
	done, ended := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-done:
				ended <- nil
				return
			default:
			}
			if err := changeAnotherTable(); err != nil {
				ended <- err
				return
			}
		}
	}()
	g := guard.New(group)
	plans := []guard.Plan{planOfMany(t, 0), planOfMany(t, 1)}
	for i := range rounds(6) {
		apply(t, g, plans[i%2])
		if !g.LooksIntact() {
			t.Error("it doesn't look intact")
		}
	}
	close(done)
	must(t, <-ended)
	if !g.Intact() {
		t.Error("it is not intact")
	}
}

// rounds is how often a test does something, a third of it in short.
func rounds(n int) int {
	if testing.Short() {
		return n / 3
	}
	return n
}

// TestTamperedDuringApply has somebody insert a rule at the very moment of a change, over and over: where it is there
// afterwards, that is noticed.
func TestTamperedDuringApply(t *testing.T) {
	g := guard.New(group)
	plans := []guard.Plan{plan(guests("vnet0")), plan(guests("vnet0", "vnet1"))}
	apply(t, g, plans[0])
	for i := range rounds(300) {
		inserted := make(chan error)
		go func() { inserted <- insertRule() }()
		apply(t, g, plans[(i+1)%2])
		must(t, <-inserted)
		if tampered := hasInsertedRule(t); tampered == g.Intact() {
			t.Fatalf("the rule is there: %v, and the guard is said to be intact: %v", tampered, tampered)
		}
		apply(t, g, plans[i%2])
		apply(t, g, plans[(i+1)%2])
	}
}

var forward = &nftables.Chain{
	Table: &nftables.Table{Name: guard.TableName, Family: nftables.TableFamilyBridge}, Name: "forward",
}

// insertRule puts a rule in front that lets everything through.
func insertRule() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	c.InsertRule(&nftables.Rule{Table: forward.Table, Chain: forward, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}})
	return c.Flush()
}

func hasInsertedRule(t *testing.T) bool {
	t.Helper()
	c, err := nftables.New()
	must(t, err)
	rules, err := c.GetRules(forward.Table, forward)
	must(t, err)
	return len(rules[0].Exprs) == 1
}

func TestIntact(t *testing.T) {
	lab.NeedProgram(t, "nft")
	plan := fullPlan(t)
	for name, damage := range map[string]string{
		"ruleset flushed":    "flush ruleset",
		"table deleted":      "delete table bridge arpfabric",
		"table flushed":      "flush table bridge arpfabric",
		"chain flushed":      "flush chain bridge arpfabric hand_over",
		"binding added":      "add element bridge arpfabric bindings_lab { 02:00:01:de:54:a8 . 10.239.0.9 }",
		"range taken out":    "flush set bridge arpfabric ranges_lab",
		"port led elsewhere": "delete element bridge arpfabric ports { vnet1 }; add element bridge arpfabric ports { vnet1 : jump steer }",
		"rule put in front":  "insert rule bridge arpfabric prerouting accept",
		"rule added":         "add rule bridge arpfabric forward accept",
		"policy changed":     "add chain bridge arpfabric forward { policy drop; }",
		"chain added":        "add chain bridge arpfabric more",
		"hook added":         "add chain bridge arpfabric more { type filter hook forward priority 0; policy drop; }",
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
			expect(t, "guests", "vnet0", "vnet1", "vnet4", "vnet5")
			expect(t, "uplinks", "eth1")
		})
	}
}

// TestIntactWithManyBindings holds that a large registry reads as it was written also while the kernel still gives its
// elements their places.
func TestIntactWithManyBindings(t *testing.T) {
	for i := range rounds(3) {
		g := guard.New(group)
		apply(t, g, planOfMany(t, i))
		must(t, changeAnotherTable())
		if !g.Intact() {
			t.Error("it is not intact, and nobody has touched it")
		}
	}
}

func TestIntactAfterChanges(t *testing.T) {
	g := guard.New(group)
	if !g.Intact() {
		t.Error("a guard that was never applied is not intact")
	}
	for _, ports := range [][]string{{"c", "a", "b"}, {"b"}, {"b", "z", "y"}, nil} {
		apply(t, g, plan(guests(ports...)))
		if !g.Intact() {
			t.Errorf("not intact with %q", ports)
		}
	}
}

func TestRemove(t *testing.T) {
	g := guard.New(group)
	apply(t, g, plan(guests("vnet0")))
	for range 2 { // it is no error if there is none
		if err := g.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if held := inKernel(t); len(held) > 0 {
		t.Errorf("still there: %v", held)
	}
	apply(t, g, plan(guests("vnet0")))
	expect(t, "guests", "vnet0")
}

// TestListing holds that nft can show the table and that it reads as documentation: each rule of each
// chain says what it is there for.
func TestListing(t *testing.T) {
	lab.NeedProgram(t, "nft")
	apply(t, guard.New(group), fullPlan(t))
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
