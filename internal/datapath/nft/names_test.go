package nft

import (
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
)

// TestNames checks that no network's name gives two chains, or two sets, the same name. It tries every name with which
// the name of a chain or set ends.
func TestNames(t *testing.T) {
	rulesetOf := func(network string) ruleset {
		n := datapath.Network{Name: network, Bridge: network, VLAN: 1, AllowList: datapath.Enforce, RateLimit: 1, PassIPv6: true, OpenDHCP: true}
		return plan{datapath.Plan{Networks: []datapath.Network{n}}}.ruleset(1, true)
	}
	chains, sets := namesIn(rulesetOf("lab"))
	for _, name := range append(chains, sets...) {
		for at := range name {
			if at > 0 && name[at-1] != '_' {
				continue
			}
			chains, sets := namesIn(rulesetOf(name[at:]))
			for _, names := range [][]string{chains, sets} {
				if twice := twiceIn(names); twice != "" {
					t.Errorf("a network named %s has two of the name %s", name[at:], twice)
				}
			}
		}
	}
}

func namesIn(r ruleset) (chains, sets []string) {
	for _, c := range r.chains {
		chains = append(chains, c.name)
	}
	for _, s := range r.sets {
		sets = append(sets, s.Name)
	}
	return chains, sets
}

func twiceIn(names []string) string {
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			return name
		}
		seen[name] = true
	}
	return ""
}
