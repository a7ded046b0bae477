package guard

import (
	"errors"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ClosesBridges reports whether a member of a bridge gets nowhere until a plan has it. Else, which is so where the kernel
// lacks CONFIG_NFT_BRIDGE_META, it reaches no member that a plan has, but others that none has either.
func (g *Guard) ClosesBridges() bool {
	closes, err := g.canNameBridges()
	return err == nil && closes
}

// close adds what keeps members apart that are in no network: a guest is in one when the fabric has heard of it.
func (r *ruleset) close(p Plan) {
	var bridges, filtering []string
	vlans := chain{name: chainVLANs}
	for _, n := range p.Networks {
		switch {
		case !n.keepsApart():
		case n.VLAN == 0:
			bridges = append(bridges, n.Bridge)
		default:
			filtering = append(filtering, n.Bridge)
			vlans.rules = append(vlans.rules, rule{"network " + n.Name, isInVLAN(n.Bridge, n.VLAN), all(counter(), drop())})
		}
	}
	r.sets = append(r.sets,
		nameSet(setClosed, "bridges whose members are all known, or get nowhere", bridges),
		nameSet(setFiltering, "bridges of which that holds for some VLANs", filtering),
		nameSet(setKnown, "members that are known", p.known()),
	)
	r.chains = append(r.chains, vlans)
}

// known returns all ports of all networks.
func (p Plan) known() []string {
	return slices.Concat(p.guests(func(Network) bool { return true }), p.uplinks(), p.taps())
}

// canNameBridges reports whether a rule can look at which bridge a port is a member of, and in which VLAN of it. It asks
// the kernel the first time.
func (g *Guard) canNameBridges() (bool, error) {
	if g.namesBridges == nil {
		can, err := takesRule(isInVLAN("", 0))
		if err != nil {
			return false, err
		}
		g.namesBridges = &can
	}
	return *g.namesBridges, nil
}

// takesRule reports whether the kernel knows what is in a rule. It puts it into a table that is gone with the same
// transaction.
func takesRule(what []expr.Any) (bool, error) {
	c, err := nftables.New()
	if err != nil {
		return false, err
	}
	t := c.AddTable(&nftables.Table{Name: TableName + "-asks", Family: nftables.TableFamilyBridge})
	ch := c.AddChain(&nftables.Chain{Name: "asks", Table: t})
	c.AddRule(&nftables.Rule{Table: t, Chain: ch, Exprs: what})
	c.DelTable(t)
	err = c.Flush()
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, err
}
