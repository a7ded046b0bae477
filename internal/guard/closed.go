package guard

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// features is what not every kernel has.
type features struct {
	namesBridges bool // a rule can look at which bridge a port is a member of
}

// ofBridge is before the name of a bridge in the chain for the members of its VLANs that are not known yet.
const ofBridge = "bridge_"

// ClosesBridges reports whether a member of a bridge gets nowhere until a plan has it. Else, which is so where the kernel
// lacks CONFIG_NFT_BRIDGE_META, it reaches no member that a plan has, but others that none has either.
func (g *Guard) ClosesBridges() bool {
	kernel, err := g.features()
	return err == nil && kernel.namesBridges
}

// closed leads from every bridge that keeps its guests apart to what becomes of the frames of a member that is in no
// network yet.
func (p Plan) closed() []element {
	var list []element
	for _, n := range p.Networks {
		switch {
		case !n.keepsApart():
		case n.VLAN == 0:
			list = append(list, element{key: portKey(n.Bridge), goTo: chainNotKnown})
		default:
			list = append(list, element{key: portKey(n.Bridge), goTo: ofBridge + n.Bridge})
		}
	}
	return list
}

// closing is the chains that closed leads to.
func (p Plan) closing() []chain {
	drops := chain{name: chainNotKnown, rules: []rule{{"nothing goes before the fabric knows whose port it is", nil, all(counter(), drop())}}}
	chains := []chain{drops}
	at := map[string]int{} // by bridge
	for _, n := range p.Networks {
		if !n.keepsApart() || n.VLAN == 0 {
			continue
		}
		i, ok := at[n.Bridge]
		if !ok {
			i = len(chains)
			at[n.Bridge] = i
			chains = append(chains, chain{name: ofBridge + n.Bridge})
		}
		comment := fmt.Sprintf("in VLAN %d", n.VLAN)
		chains[i].rules = append(chains[i].rules, rule{comment, isInVLAN(n.VLAN), goTo(chainNotKnown)})
	}
	return chains
}

// features asks the kernel the first time.
func (g *Guard) features() (features, error) {
	if g.kernel == nil {
		namesBridges, err := takesRule(meta(expr.MetaKeyBRIIIFNAME))
		if err != nil {
			return features{}, err
		}
		g.kernel = &features{namesBridges}
	}
	return *g.kernel, nil
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
