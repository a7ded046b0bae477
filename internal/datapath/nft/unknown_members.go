package nft

import (
	"errors"
	"slices"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// IsolatesUnknown reports whether the kernel drops all frames from and to a member of a bridge until a plan names it.
// If the kernel lacks CONFIG_NFT_BRIDGE_META, members that no plan names can reach each other, but no other members.
func (g *BridgeTable) IsolatesUnknown() bool {
	isolates, err := g.hasBridgeMeta()
	return err == nil && isolates
}

// isolateUnknown adds the sets and the chain that isolate members of no network. A new guest is such a member until the
// fabric has noticed it.
func (r *ruleset) isolateUnknown(p plan) {
	var bridges, filtering []string
	vlans := chain{name: chainVLANs}
	for _, n := range p.Networks {
		switch {
		case !n.IsolatesARP():
		case n.VLAN == 0:
			bridges = append(bridges, n.Bridge)
		default:
			filtering = append(filtering, n.Bridge)
			vlans.rules = append(vlans.rules, rule{"network " + n.Name, isInVLAN(n.Bridge, n.VLAN), all(counter(), drop())})
		}
	}
	r.sets = append(r.sets,
		nameSet(setClosed, "bridges on which unknown members are isolated", bridges),
		nameSet(setFiltering, "bridges on which unknown members are isolated in some VLANs", filtering),
		nameSet(setKnown, "members that the fabric knows", p.known()),
	)
	r.chains = append(r.chains, vlans)
}

// known returns all ports of all networks.
func (p plan) known() []string {
	return slices.Concat(p.GuestsOf(func(datapath.Network) bool { return true }), p.Uplinks(), p.TAPs())
}

// hasBridgeMeta reports whether a rule can match the bridge of a port, and the VLAN of its untagged frames
// (CONFIG_NFT_BRIDGE_META). It asks the kernel once.
func (g *BridgeTable) hasBridgeMeta() (bool, error) {
	if g.bridgeMeta == nil {
		has, err := acceptsRule(isInVLAN("", 0))
		if err != nil {
			return false, err
		}
		g.bridgeMeta = &has
	}
	return *g.bridgeMeta, nil
}

// acceptsRule reports whether the kernel supports the expressions of a rule. It adds the rule to a table that it
// deletes in the same transaction.
func acceptsRule(match []expr.Any) (bool, error) {
	c, err := nftables.New()
	if err != nil {
		return false, err
	}
	t := c.AddTable(&nftables.Table{Name: TableName + "-probe", Family: nftables.TableFamilyBridge})
	ch := c.AddChain(&nftables.Chain{Name: "probe", Table: t})
	c.AddRule(&nftables.Rule{Table: t, Chain: ch, Exprs: match})
	c.DelTable(t)
	err = c.Flush()
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, err
}
