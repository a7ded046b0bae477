package nft

import (
	"encoding/binary"
	"maps"
	"net"
	"reflect"
	"slices"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Intact reports whether the table in the kernel is as Apply left it. It returns true if an interface is gone, because
// the kernel itself has then changed the table.
func (g *SidecarTable) Intact() bool {
	if g.applied == nil || slices.ContainsFunc(g.applied, isGone) {
		return true
	}
	now, err := inspectSidecars()
	if err == nil && now.equals(g.installed) {
		return true
	}
	g.applied = []datapath.Sidecar{}
	return false
}

func isGone(s datapath.Sidecar) bool {
	l, err := net.InterfaceByName(s.Interface)
	return err != nil || l.Index != s.Index
}

// A sidecarState is the state of the table in the kernel. If it differs later, another process has changed the table.
type sidecarState struct {
	dormant bool
	chains  map[string]chainHook
	rules   map[string][]*nftables.Rule // by chain, with counters at zero
	sets    map[string][]string         // elements, as bytes, by set
}

func (s sidecarState) equals(other sidecarState) bool {
	return s.dormant == other.dormant && maps.Equal(s.chains, other.chains) &&
		reflect.DeepEqual(s.rules, other.rules) && maps.EqualFunc(s.sets, other.sets, slices.Equal)
}

// isOf reports whether s is the state of a table for these sidecars that no other process has changed since it was
// installed.
func (s sidecarState) isOf(sidecars []datapath.Sidecar, g *SidecarTable) bool {
	chains := map[string]chainHook{}
	for _, one := range sidecars {
		sidecar := sidecar{one}
		for _, ch := range sidecar.chains(g.group, g.mark) {
			chains[ch.name] = chainHookOf(ch.inSidecarTable(sidecar.Interface))
			if !ch.matches(s.rules[ch.name]) {
				return false
			}
		}
		for _, set := range sidecar.sets() {
			if len(s.sets[set.name]) < len(set.elements()) {
				return false
			}
		}
	}
	return !s.dormant && maps.Equal(s.chains, chains)
}

// mark returns the mark of answers by which the rules let them pass. It returns false if there is none.
func (s sidecarState) mark() (mark uint32, ok bool) {
	for _, rules := range s.rules {
		for _, r := range rules {
			for i, e := range r.Exprs[:max(len(r.Exprs)-1, 0)] {
				m, isMeta := e.(*expr.Meta)
				is, isCmp := r.Exprs[i+1].(*expr.Cmp)
				if isMeta && isCmp && m.Key == expr.MetaKeyMARK && len(is.Data) == 4 {
					return binary.NativeEndian.Uint32(is.Data), true
				}
			}
		}
	}
	return 0, false
}

// inspectSidecars reads the state of the table. It returns the zero state if there is no table.
func inspectSidecars() (sidecarState, error) {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return sidecarState{}, err
	}
	defer c.CloseLasting()
	t, err := find(c, nftables.TableFamilyNetdev)
	if err != nil || t == nil {
		return sidecarState{}, err
	}
	s := sidecarState{dormant: isDormant(t), rules: map[string][]*nftables.Rule{}, sets: map[string][]string{}}
	if err := s.readChains(c); err != nil {
		return sidecarState{}, err
	}
	return s, s.readSets(c)
}

func (s *sidecarState) readChains(c *nftables.Conn) error {
	var err error
	if s.chains, err = chainsIn(c, nftables.TableFamilyNetdev); err != nil {
		return err
	}
	for name := range s.chains {
		rules, err := rulesIn(c, &nftables.Chain{Name: name, Table: netdevTable()})
		if err != nil {
			return err
		}
		s.rules[name] = rules
	}
	return nil
}

func (s *sidecarState) readSets(c *nftables.Conn) error {
	sets, err := c.GetSets(netdevTable())
	if err != nil {
		return err
	}
	for _, set := range sets {
		elements, err := c.GetSetElements(set)
		if err != nil {
			return err
		}
		var list []string
		for _, e := range elements {
			if e.IntervalEnd {
				list = append(list, string(e.Key)+" end")
			} else {
				list = append(list, string(e.Key))
			}
		}
		slices.Sort(list)
		s.sets[set.Name] = list
	}
	return nil
}
