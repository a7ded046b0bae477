package nft_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
)

func TestMain(m *testing.M) { os.Exit(labtest.RunTests(m)) }

const group = 16722

// plan returns a plan that guards the ARP of one network.
func plan(with ...func(*datapath.Network)) datapath.Plan {
	n := datapath.Network{Name: "lab"}
	for _, do := range with {
		do(&n)
	}
	return datapath.Plan{Networks: []datapath.Network{n}}
}

func guests(ports ...string) func(*datapath.Network) {
	return func(n *datapath.Network) { n.Guests = ports }
}

func uplinks(ports ...string) func(*datapath.Network) {
	return func(n *datapath.Network) { n.Uplinks = ports }
}

// allowList enforces an allow-list with these bindings.
func allowList(t *testing.T, bindings ...registry.Binding) func(*datapath.Network) {
	t.Helper()
	registry, err := registry.New(slices.Values(bindings))
	if err != nil {
		t.Fatal(err)
	}
	return func(n *datapath.Network) { n.AllowList, n.Registry = datapath.Enforce, registry }
}

func binding(first, last, mac, port string) registry.Binding {
	m, err := registry.ParseMAC(mac)
	if err != nil {
		panic(err)
	}
	return registry.Binding{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last), MAC: m, Port: port}
}

// fullPlan returns a plan that uses every field.
func fullPlan(t *testing.T) datapath.Plan {
	t.Helper()
	p := plan(guests("vnet0", "vnet1"), uplinks("eth1"), allowList(t,
		binding("10.239.0.1", "10.239.0.1", "02:00:00:de:54:a8", ""),
		binding("10.239.0.2", "10.239.0.2", "02:00:01:de:54:a8", "vnet1"),
		binding("10.239.0.16", "10.239.0.31", "02:00:02:de:54:a8", ""),
		binding("10.239.0.32", "10.239.0.63", "02:00:03:de:54:a8", "vnet0"),
	))
	full := &p.Networks[0]
	full.Bridge, full.RateLimit, full.PassIPv6, full.Host = "br0", 1000, true, []registry.MAC{{2, 0, 0, 0, 0, 1}}
	p.Networks = append(p.Networks,
		datapath.Network{Name: "dry", Bridge: "br1", Guests: []string{"vnet2"}, ARP: datapath.Observe, AllowList: datapath.Report, Registry: full.Registry, RateLimit: 5},
		datapath.Network{Name: "steered", Bridge: "br2", Guests: []string{"vnet3"}, ARP: datapath.Steer, TAP: "arp0"},
		datapath.Network{Name: "blue", Bridge: "br3", VLAN: 10, Guests: []string{"vnet4"}},
		datapath.Network{Name: "green", Bridge: "br3", VLAN: 20, Guests: []string{"vnet5"}},
	)
	return p
}

func apply(t *testing.T, g *nft.BridgeTable, p datapath.Plan) {
	t.Helper()
	t.Cleanup(func() { nft.NewBridgeTable(group).Remove() })
	if err := g.Apply(p); err != nil {
		t.Fatal(err)
	}
}

// inKernel returns the contents of the table's sets of ports, or nil if there is no table.
func inKernel(t *testing.T) map[string][]string {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	table := &nftables.Table{Name: nft.TableName, Family: nftables.TableFamilyBridge}
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
	g := nft.NewBridgeTable(group)
	apply(t, g, plan(guests("vnet0", "vnet1"), uplinks("eth1")))
	expect(t, "guests", "vnet0", "vnet1")
	expect(t, "uplinks", "eth1")

	apply(t, g, datapath.Plan{Networks: []datapath.Network{
		{Name: "lab", Guests: []string{"vnet1", "vnet2"}},
		{Name: "dry", Guests: []string{"vnet0"}, ARP: datapath.Observe},
		{Name: "tap", Guests: []string{"a"}, ARP: datapath.Steer, TAP: "arp0"},
	}})
	expect(t, "guests", "vnet1", "vnet2")
	expect(t, "ports", "a", "vnet0", "vnet1", "vnet2")
	expect(t, "steered", "a")
	expect(t, "taps", "arp0")
	expect(t, "uplinks")
}

func TestApplyTakesOverWhatAnotherFabricLeft(t *testing.T) {
	apply(t, nft.NewBridgeTable(group), plan(guests("old")))
	apply(t, nft.NewBridgeTable(group), plan(guests("new")))
	expect(t, "guests", "new")
}

func TestApplyAfterTheTableWasFlushed(t *testing.T) {
	g := nft.NewBridgeTable(group)
	apply(t, g, plan(guests("vnet0")))
	if err := nft.NewBridgeTable(group).Remove(); err != nil {
		t.Fatal(err)
	}
	apply(t, g, plan(guests("vnet0", "vnet1")))
	expect(t, "guests", "vnet0", "vnet1")
}

// TestApplyIsolatesFirst checks that Apply restores a deleted table first with rules and ports, and then with the
// bindings, of which there may be many.
func TestApplyIsolatesFirst(t *testing.T) {
	g := nft.NewBridgeTable(group)
	apply(t, g, fullPlan(t))
	labtest.Must(t, nft.NewBridgeTable(group).Remove())
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

// A transaction is a transaction of any process: the number of rules that it added, and the keys of the elements.
type transaction struct {
	rules    int
	elements []string
}

func (of transaction) holds(beginning string) bool {
	return slices.ContainsFunc(of.elements, func(key string) bool { return strings.HasPrefix(key, beginning) })
}

// monitor records the transactions of nftables. It returns a function that ends the recording and returns them.
func monitor(t *testing.T) func() []transaction {
	t.Helper()
	c, err := nftables.New(nftables.WithSockOptions(func(c *netlink.Conn) error { return c.SetReadBuffer(16 << 20) }))
	labtest.Must(t, err)
	m := nftables.NewMonitor()
	heard, err := c.AddGenerationalMonitor(m)
	labtest.Must(t, err)
	return func() []transaction {
		t.Helper()
		defer m.Close()
		labtest.Must(t, changeAnotherTable()) // marks the end
		var all []transaction
		for events := range heard {
			labtest.Must(t, events.GeneratedBy.Error)
			var of transaction
			for _, e := range events.Changes {
				switch data := e.Data.(type) {
				case *nftables.Table:
					if data.Name != nft.TableName {
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
		t.Fatal("no message about the last transaction")
		return nil
	}
}

func TestApplyManyPorts(t *testing.T) {
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf("vnet%04d", i))
	}
	g := nft.NewBridgeTable(group)
	apply(t, g, plan(guests(many...)))
	expect(t, "guests", many...)
}

// TestApplyWhileOthersChangeNftables changes another table all the time while a large plan is applied, changed and
// changed back.
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
	g := nft.NewBridgeTable(group)
	plans := []datapath.Plan{planOfMany(t, 0), planOfMany(t, 1)}
	for i := range rounds(6) {
		apply(t, g, plans[i%2])
		if !g.LooksIntact() {
			t.Error("it doesn't look intact")
		}
	}
	close(done)
	labtest.Must(t, <-ended)
	if !g.Intact() {
		t.Error("it is not intact")
	}
}

// rounds returns the number of rounds of a test: n, or a third of it with -short.
func rounds(n int) int {
	if testing.Short() {
		return n / 3
	}
	return n
}

// TestTamperedDuringApply inserts a rule during a change, over and over, and checks that Intact notices it if it is
// there afterwards.
func TestTamperedDuringApply(t *testing.T) {
	g := nft.NewBridgeTable(group)
	plans := []datapath.Plan{plan(guests("vnet0")), plan(guests("vnet0", "vnet1"))}
	apply(t, g, plans[0])
	for i := range rounds(300) {
		inserted := make(chan error)
		go func() { inserted <- insertRule() }()
		apply(t, g, plans[(i+1)%2])
		labtest.Must(t, <-inserted)
		if tampered := hasInsertedRule(t); tampered == g.Intact() {
			t.Fatalf("the rule is there: %v, and the guard is said to be intact: %v", tampered, tampered)
		}
		apply(t, g, plans[i%2])
		apply(t, g, plans[(i+1)%2])
	}
}

var forward = &nftables.Chain{
	Table: &nftables.Table{Name: nft.TableName, Family: nftables.TableFamilyBridge}, Name: "forward",
}

// insertRule inserts a rule at the start of a chain that accepts everything.
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
	labtest.Must(t, err)
	rules, err := c.GetRules(forward.Table, forward)
	labtest.Must(t, err)
	return len(rules[0].Exprs) == 1
}

func TestIntact(t *testing.T) {
	labtest.NeedProgram(t, "nft")
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
		"rule replaced":      "replace rule bridge arpfabric hand_over handle HANDLE accept",
		"policy changed":     "add chain bridge arpfabric forward { policy drop; }",
		"chain added":        "add chain bridge arpfabric more",
		"hook added":         "add chain bridge arpfabric more { type filter hook forward priority 0; policy drop; }",
		"set flushed":        "flush set bridge arpfabric guests",
		"port taken out":     "delete element bridge arpfabric guests { vnet1 }",
		"uplink added":       "add element bridge arpfabric uplinks { vnet1 }",
		"table made dormant": "add table bridge arpfabric { flags dormant; }",
	} {
		t.Run(name, func(t *testing.T) {
			g := nft.NewBridgeTable(group)
			apply(t, g, plan)
			if !g.Intact() {
				t.Fatal("an unchanged guard is not intact")
			}
			damageTable(t, damage)
			if g.Intact() {
				t.Fatal("not noticed")
			}
			apply(t, g, plan)
			if !g.Intact() {
				t.Error("not intact after it was installed again")
			}
			expect(t, "guests", "vnet0", "vnet1", "vnet4", "vnet5")
			expect(t, "uplinks", "eth1")
		})
	}
}

// damageTable runs commands of nft. It replaces HANDLE by the handle of the first rule in the chain that they name.
func damageTable(t *testing.T, commands string) {
	t.Helper()
	if words := strings.Fields(commands); strings.Contains(commands, "HANDLE") {
		listed, err := exec.Command("nft", "--handle", "list", "chain", words[2], words[3], words[4]).CombinedOutput()
		labtest.Must(t, err)
		_, after, _ := strings.Cut(string(listed), "{") // after the chain's own handle
		handle := regexp.MustCompile(`# handle (\d+)`).FindAllStringSubmatch(after, -1)
		commands = strings.ReplaceAll(commands, "HANDLE", handle[1][1])
	}
	if out, err := exec.Command("nft", commands).CombinedOutput(); err != nil {
		t.Fatalf("nft %s: %v: %s", commands, err, out)
	}
}

// TestIntactWithManyBindings checks that a large registry reads as it was written, even while the kernel resizes the
// hash table of a set.
func TestIntactWithManyBindings(t *testing.T) {
	for i := range rounds(3) {
		g := nft.NewBridgeTable(group)
		apply(t, g, planOfMany(t, i))
		labtest.Must(t, changeAnotherTable())
		if !g.Intact() {
			t.Error("an unchanged guard is not intact")
		}
	}
}

func TestIntactAfterChanges(t *testing.T) {
	g := nft.NewBridgeTable(group)
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
	g := nft.NewBridgeTable(group)
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

// TestListing checks that nft can list the table, and that every rule has a comment.
func TestListing(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	apply(t, nft.NewBridgeTable(group), fullPlan(t))
	out, err := exec.Command("nft", "list", "table", "bridge", nft.TableName).CombinedOutput()
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
