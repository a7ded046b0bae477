package guard

import (
	"errors"

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

// closed leads from every bridge that keeps guests apart to what becomes of the frames of a member that is in no network.
func (p Plan) closed() []element {
	var list []element
	for _, n := range p.Networks {
		switch {
		case !n.keepsApart():
		case n.VLAN == 0:
			list = append(list, element{key: portKey(n.Bridge), goTo: chainNotKnown})
		default:
			list = append(list, element{key: portKey(n.Bridge), goTo: chainVLANs})
		}
	}
	return list
}

// closing is the chains that closed leads to.
func (p Plan) closing() []chain {
	vlans := chain{name: chainVLANs}
	for _, n := range p.Networks {
		if n.keepsApart() && n.VLAN != 0 {
			vlans.rules = append(vlans.rules, rule{"network " + n.Name, isInVLAN(n.Bridge, n.VLAN), goTo(chainNotKnown)})
		}
	}
	notKnown := rule{"nothing goes before the fabric knows whose port it is", nil, all(counter(), drop())}
	return []chain{{name: chainNotKnown, rules: []rule{notKnown}}, vlans}
}

// canNameBridges reports whether a rule can look at which bridge a port is a member of. It asks the kernel the first time.
func (g *Guard) canNameBridges() (bool, error) {
	if g.namesBridges == nil {
		can, err := takesRule(meta(expr.MetaKeyBRIIIFNAME))
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
