package guard

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// TableName is the name of the table, in the bridge family.
const TableName = "arpfabric"

// Guard is the table in the kernel.
type Guard struct {
	group   uint16
	inForce bool                // Apply has put it there, and nobody asked for it to be removed
	applied *ruleset            // what the kernel holds; nil where that isn't known
	handles map[string][]uint64 // of its rules, by chain

	// The generations of the kernel's rulesets at which ours looked intact last, and was examined whole; 0 where that
	// has to be done anew. Every transaction of anybody raises the generation.
	generation, examined uint32

	namesBridges *bool // nil where the kernel hasn't been asked
}

// New returns a Guard that hands frames over on an NFLOG group. It does not touch the kernel: a table that
// a fabric left there before stays in force until Apply.
func New(group uint16) *Guard { return &Guard{group: group} }

// Apply makes the kernel hold p. The first time it replaces the whole table, after that it changes only
// what differs; each in one transaction, so that the old guard or the new one is in force at any moment.
// After an error the old one is. Where somebody has deleted the table in force, there are two transactions: one that
// closes, which is quick, and one that lets through what the registries allow.
func (g *Guard) Apply(p Plan) error {
	namesBridges, err := g.canNameBridges()
	if err != nil {
		return applyError(err)
	}
	want := p.ruleset(g.group, namesBridges)
	if g.LooksIntact() && g.applied != nil && g.change(want) == nil {
		return nil
	}
	if err := g.replace(want); err != nil {
		return applyError(err)
	}
	return nil
}

// change brings the table from what was applied last to a ruleset.
func (g *Guard) change(want ruleset) error {
	t, err := newTransaction(*g.applied, want)
	if err != nil {
		return err
	}
	if !g.LooksIntact() { // to put much together takes long
		return errors.New("somebody else has changed it at the same moment; `nft monitor` shows who changes what")
	}
	return g.commit(t)
}

// replace puts a new table into the old one's place.
func (g *Guard) replace(want ruleset) error {
	if !g.inForce || g.IsThere() {
		return g.install(want)
	}
	if err := g.install(want.withoutBindings()); err != nil {
		return err
	}
	return g.change(want)
}

// install makes the table anew.
func (g *Guard) install(want ruleset) error {
	g.applied, g.handles = nil, map[string][]uint64{}
	t, err := newTransaction(ruleset{}, want)
	if err != nil {
		return err
	}
	generation, err := currentGeneration()
	if err != nil {
		return err
	}
	g.generation, g.examined = generation, generation // what the table was like doesn't matter
	return g.commit(t)
}

// newTransaction puts together what brings the table from one ruleset, an empty one if it is to be made anew, to
// another.
func newTransaction(have, want ruleset) (*difference, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	if len(have.chains) == 0 {
		c.AddTable(table()) // so that there is one to delete
		c.DelTable(table())
		c.AddTable(table())
	}
	d := newDifference(c, have, want)
	return d, d.write()
}

// commit carries a transaction out.
//
// It doesn't tell the kernel to refuse it where somebody else was first: who changes nftables all the time, be it
// another table, would always be. Where anybody was, before or after, the table is looked at anew the next time.
func (g *Guard) commit(d *difference) error {
	if d.changes > 0 {
		if err := d.conn.Flush(); err != nil {
			return err
		}
		d.updateHandles(g.handles)
		g.noteCommit()
	}
	applied := d.want // without what was put together
	g.applied, g.inForce = &applied, true
	return nil
}

// noteCommit brings the generations up to date after a transaction of ours.
func (g *Guard) noteCommit() {
	now, err := currentGeneration()
	switch {
	case err != nil || now != next(g.generation):
		g.generation, g.examined = 0, 0
	case g.examined == g.generation:
		g.generation, g.examined = now, now
	default:
		g.generation = now
	}
}

// Remove takes the table away. It is no error if there is none.
func (g *Guard) Remove() error {
	g.applied, g.inForce = nil, false
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

// IsThere reports whether there is a table, whoever has left it. It is false where the kernel has no nftables, and
// where the process may not look: it may not remove one either.
func (g *Guard) IsThere() bool { return isThere(nftables.TableFamilyBridge) }

func isThere(family nftables.TableFamily) bool {
	c, err := nftables.New()
	if err != nil {
		return false
	}
	t, err := find(c, family)
	return err == nil && t != nil
}

func table() *nftables.Table {
	return &nftables.Table{Name: TableName, Family: nftables.TableFamilyBridge}
}

func currentGeneration() (uint32, error) {
	c, err := nftables.New()
	if err != nil {
		return 0, err
	}
	generation, err := c.GetGen()
	if err != nil {
		return 0, err
	}
	return generation.ID, nil
}

// next is the generation after one (net/netfilter/nf_tables_api.c, nf_tables_commit: 0 is left out).
func next(generation uint32) uint32 { return max(generation+1, 1) }

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
