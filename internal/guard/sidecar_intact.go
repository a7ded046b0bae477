package guard

import (
	"maps"
	"net"
	"slices"

	"github.com/google/nftables"
)

// Intact reports whether the kernel holds the table as Apply left it, as [Guard.Intact] does. Where an interface is gone
// it is true: the kernel itself has changed the table then.
func (g *Sidecars) Intact() bool {
	if g.applied == nil || slices.ContainsFunc(g.applied, Sidecar.isGone) {
		return true
	}
	now, err := inspectSidecars()
	if err == nil && now.equals(g.installed) {
		return true
	}
	g.applied = []Sidecar{}
	return false
}

func (s Sidecar) isGone() bool {
	l, err := net.InterfaceByName(s.Interface)
	return err != nil || l.Index != s.Index
}

// A sidecarState is what of the table in the kernel tells whether somebody has changed it.
type sidecarState struct {
	dormant bool
	chains  map[string]bearings
	rules   map[string][]uint64 // handles, by chain: a rule that is replaced gets another
	sets    map[string][]string // elements, as bytes
}

func (s sidecarState) equals(other sidecarState) bool {
	return s.dormant == other.dormant && maps.Equal(s.chains, other.chains) &&
		maps.EqualFunc(s.rules, other.rules, slices.Equal) && maps.EqualFunc(s.sets, other.sets, slices.Equal)
}

// holds reports whether s is that of a table which has just been installed and which nobody has changed since.
func (s sidecarState) holds(sidecars []Sidecar, g *Sidecars) bool {
	chains := map[string]bearings{}
	for _, sidecar := range sidecars {
		for _, ch := range sidecar.chains(g.group, g.mark) {
			chains[ch.name] = bearingsOf(ch.inSidecarTable(sidecar.Interface))
			if len(s.rules[ch.name]) != len(ch.rules) {
				return false
			}
		}
		if len(s.sets[setAddresses+sidecar.Interface]) < len(sidecar.elements()) {
			return false
		}
	}
	return !s.dormant && maps.Equal(s.chains, chains)
}

// inspectSidecars reads the state of the table; the zero state where there is no table.
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
	s := sidecarState{dormant: isDormant(t), rules: map[string][]uint64{}, sets: map[string][]string{}}
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
		handles, err := handlesIn(c, &nftables.Chain{Name: name, Table: sidecarTable()})
		if err != nil {
			return err
		}
		s.rules[name] = handles
	}
	return nil
}

func (s *sidecarState) readSets(c *nftables.Conn) error {
	sets, err := c.GetSets(sidecarTable())
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
