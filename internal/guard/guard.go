package guard

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// TableName is the name of the table, in the bridge family.
const TableName = "arpfabric"

// Guard is the table in the kernel.
type Guard struct {
	group   uint16
	applied *Plan // what the kernel holds; nil where that isn't known

	installed state // after the table was last replaced
}

// New returns a Guard that hands frames over on an NFLOG group. It does not touch the kernel: a table that
// a fabric left there before stays in force until Apply.
func New(group uint16) *Guard { return &Guard{group: group} }

// Apply makes the kernel hold p. The first time it replaces the whole table, after that it changes only
// what differs; each in one transaction, so that the old guard or the new one is in force at any moment.
// After an error the old one is.
func (g *Guard) Apply(p Plan) error {
	if g.applied != nil {
		if err := g.change(*g.applied, p); err == nil {
			g.applied = &p
			return nil
		}
		g.applied = nil // somebody else changed the table: replace it
	}
	err := g.replace(p)
	if err == nil {
		g.installed, err = g.inspect()
	}
	if err == nil && !g.installed.holds(p, chains(g.group)) {
		err = errors.New("somebody else changed it at the same moment")
	}
	if err != nil {
		return applyError(err)
	}
	g.applied = &p
	return nil
}

// Remove takes the table away. It is no error if there is none.
func (g *Guard) Remove() error {
	g.applied = nil
	c, err := nftables.New()
	if err != nil {
		return applyError(err)
	}
	c.AddTable(table())
	c.DelTable(table())
	if err := c.Flush(); err != nil {
		return applyError(err)
	}
	return nil
}

func table() *nftables.Table {
	return &nftables.Table{Name: TableName, Family: nftables.TableFamilyBridge}
}

func (g *Guard) replace(p Plan) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := table()
	c.AddTable(t) // so that there is one to delete
	c.DelTable(t)
	c.AddTable(t)
	if err := addSets(c, t, p); err != nil {
		return err
	}
	for _, ch := range chains(g.group) {
		addChain(c, t, ch)
	}
	return c.Flush()
}

func addSets(c *nftables.Conn, t *nftables.Table, p Plan) error {
	for _, s := range p.sets() {
		if err := c.AddSet(s.inTable(t), elements(s.ports)); err != nil {
			return err
		}
	}
	tags := &nftables.Set{Table: t, Name: setTags, KeyType: nftables.TypeEtherType}
	return c.AddSet(tags, []nftables.SetElement{{Key: be16(unix.ETH_P_8021Q)}, {Key: be16(unix.ETH_P_8021AD)}})
}

func addChain(c *nftables.Conn, t *nftables.Table, ch chain) {
	added := &nftables.Chain{Table: t, Name: ch.name}
	if ch.hook != nil {
		accept := nftables.ChainPolicyAccept
		added.Type, added.Hooknum, added.Priority, added.Policy = nftables.ChainTypeFilter, ch.hook, priority, &accept
	}
	c.AddChain(added)
	for _, r := range ch.rules {
		c.AddRule(&nftables.Rule{
			Table:    t,
			Chain:    added,
			Exprs:    slices.Concat(r.match, r.then),
			UserData: userdata.AppendString(nil, userdata.TypeComment, r.comment),
		})
	}
}

// priority is NF_BR_PRI_NAT_DST_BRIDGED: before other tables' filters.
var priority = nftables.ChainPriorityRef(-300)

// change brings the sets from one plan to another.
func (g *Guard) change(from, to Plan) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	had := from.sets()
	for i, want := range to.sets() {
		set := want.inTable(table())
		if add := missing(had[i].ports, want.ports); len(add) > 0 {
			if err := c.SetAddElements(set, elements(add)); err != nil {
				return err
			}
		}
		if remove := missing(want.ports, had[i].ports); len(remove) > 0 {
			if err := c.SetDeleteElements(set, elements(remove)); err != nil {
				return err
			}
		}
	}
	return c.Flush()
}

func (s portSet) inTable(t *nftables.Table) *nftables.Set {
	return &nftables.Set{Table: t, Name: s.name, KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}
}

// elements writes port names as the kernel compares them: padded with zeros to IFNAMSIZ.
func elements(ports []string) []nftables.SetElement {
	list := make([]nftables.SetElement, len(ports))
	for i, port := range ports {
		var key [unix.IFNAMSIZ]byte
		copy(key[:], port)
		list[i].Key = key[:]
	}
	return list
}

func applyError(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("installing the guard: not permitted to change nftables; run as root or with CAP_NET_ADMIN: %w", err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("installing the guard: the kernel lacks nftables for bridges or NFLOG; load them with "+
			"'modprobe -a nf_tables nfnetlink_log' (CONFIG_NF_TABLES_BRIDGE, CONFIG_NETFILTER_NETLINK_LOG): %w", err)
	}
	return fmt.Errorf("installing the guard (nftables table bridge %s): %w", TableName, err)
}
