package guard

import (
	"maps"
	"slices"
	"strings"

	"github.com/google/nftables"
)

// Intact reports whether the kernel holds the guard as Apply left it. Somebody may have flushed the
// ruleset, or changed the table by hand; the next Apply installs it anew then. It is true before the first
// Apply.
func (g *Guard) Intact() bool {
	if g.applied == nil {
		return true
	}
	now, err := g.inspect()
	if err == nil && now.hasRules(g.installed) && maps.EqualFunc(now.sets, g.applied.sorted(), slices.Equal) {
		return true
	}
	g.applied = nil
	return false
}

// A state is what of the table in the kernel tells whether somebody has changed it.
type state struct {
	dormant bool
	rules   map[string][]uint64 // handles, by chain: a rule that is replaced gets another
	sets    map[string][]string // ports
}

// hasRules reports whether the rules in s are those of another state, and in force.
func (s state) hasRules(of state) bool {
	return !s.dormant && maps.EqualFunc(s.rules, of.rules, slices.Equal)
}

// holds reports whether s is that of a table which has just been installed and which nobody has changed
// since.
func (s state) holds(p Plan, chains []chain) bool {
	for _, ch := range chains {
		if len(s.rules[ch.name]) != len(ch.rules) {
			return false
		}
	}
	return !s.dormant && maps.EqualFunc(s.sets, p.sorted(), slices.Equal)
}

// inspect reads the state of the table; the zero state where there is no table.
func (g *Guard) inspect() (state, error) {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return state{}, err
	}
	defer c.CloseLasting()
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyBridge)
	if err != nil {
		return state{}, err
	}
	i := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == TableName })
	if i < 0 {
		return state{}, nil
	}
	const dormant = 1 // NFT_TABLE_F_DORMANT
	s := state{dormant: tables[i].Flags&dormant != 0, rules: map[string][]uint64{}, sets: map[string][]string{}}
	for _, ch := range chains(g.group) {
		rules, err := c.GetRules(table(), &nftables.Chain{Name: ch.name})
		if err != nil {
			return state{}, err
		}
		for _, r := range rules {
			s.rules[ch.name] = append(s.rules[ch.name], r.Handle)
		}
	}
	return s, s.readSets(c)
}

func (s *state) readSets(c *nftables.Conn) error {
	for _, set := range (Plan{}).sets() {
		elements, err := c.GetSetElements(set.inTable(table()))
		if err != nil {
			return err
		}
		var ports []string
		for _, e := range elements {
			ports = append(ports, strings.TrimRight(string(e.Key), "\x00"))
		}
		slices.Sort(ports)
		s.sets[set.name] = ports
	}
	return nil
}

// sorted returns the plan's sets as inspect reads them.
func (p Plan) sorted() map[string][]string {
	all := map[string][]string{}
	for _, s := range p.sets() {
		ports := slices.Clone(s.ports)
		slices.Sort(ports)
		all[s.name] = slices.Compact(ports)
	}
	return all
}
