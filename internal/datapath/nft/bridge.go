package nft

import (
	"errors"
	"fmt"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// TableName is the name of both tables: the one in the bridge family and the one in the netdev family.
const TableName = "arpfabric"

// BridgeTable is the table `bridge arpfabric` in the kernel, which guards the ports of bridges.
type BridgeTable struct {
	group   uint16
	inForce bool                // Apply has installed the table, and Remove has not been called since
	applied *ruleset            // contents of the table in the kernel; nil if they are unknown
	handles map[string][]uint64 // handles of the table's rules, by chain

	// The generations of nftables at which LooksIntact and Intact last found the table intact; 0 if they must look
	// again. Every transaction of any process raises the generation.
	generation, examined uint32

	bridgeMeta *bool // nil until the kernel has been asked

	changes tableChanges
}

// NewBridgeTable returns a BridgeTable that hands frames over by an NFLOG group. It does not change the kernel: a table
// that an earlier fabric has left stays in force until Apply.
func NewBridgeTable(group uint16) *BridgeTable { return &BridgeTable{group: group} }

// Apply makes the kernel guard the networks of a plan. The first call replaces the whole table; later calls change only
// the differences. Each is one transaction, so that either the old guard or the new one is in force at any moment. Where
// ports join, a transaction before it has their frames checked. After an error, the old guard is in force.
//
// If another process has deleted the table, Apply uses two transactions: a quick one that drops guests' frames, and one
// that admits the frames that the registries allow.
//
// The table also gets some more sets, which no rule refers to.
func (g *BridgeTable) Apply(p datapath.Plan, more ...set) error {
	bridgeMeta, err := g.hasBridgeMeta()
	if err != nil {
		return applyError(err)
	}
	want := plan{p}.ruleset(g.group, bridgeMeta)
	want.sets = append(want.sets, more...)
	if g.LooksIntact() && g.applied != nil && g.bring(want) == nil {
		return nil
	}
	if err := g.replace(want); err != nil {
		return applyError(err)
	}
	return nil
}

// change brings the table from the ruleset that was applied last to another one.
func (g *BridgeTable) change(want ruleset) error {
	t, err := g.newTransaction(*g.applied, want)
	if err != nil {
		return err
	}
	if !g.LooksIntact() { // checked again, because a large transaction takes long to assemble
		return errors.New("another process has changed it at the same moment; `nft monitor` shows the changes")
	}
	return g.commit(t)
}

// replace replaces the whole table.
func (g *BridgeTable) replace(want ruleset) error {
	if !g.inForce || g.IsThere() {
		return g.install(want)
	}
	// The table in force is gone, and the guests are exposed. An empty registry is installed quickly.
	if err := g.install(want.withoutBindings()); err != nil {
		return err
	}
	return g.change(want)
}

// install deletes the table, if there is one, and makes a new one, in one transaction.
func (g *BridgeTable) install(want ruleset) error {
	g.applied, g.handles = nil, map[string][]uint64{}
	t, err := g.newTransaction(ruleset{}, want)
	if err != nil {
		return err
	}
	generation, err := currentGeneration()
	if err != nil {
		return err
	}
	g.generation, g.examined = generation, generation // the state of the old table does not matter
	g.changes.replace(generation)
	return g.commit(t)
}

// newTransaction assembles the transaction that brings the table from one ruleset to another. If have is empty, it
// makes the table.
func (g *BridgeTable) newTransaction(have, want ruleset) (*difference, error) {
	c, err := nftables.New(nftables.WithSockOptions(g.changes.noteSocket))
	if err != nil {
		return nil, err
	}
	if len(have.chains) == 0 {
		c.AddTable(bridgeTable()) // because to delete a table that is not there is an error
		c.DelTable(bridgeTable())
		c.AddTable(bridgeTable())
	}
	d := newDifference(c, have, want)
	return d, d.write()
}

// commit commits a transaction.
//
// It does not make the kernel reject the transaction if the generation has changed. If it did, a process that changes
// any table all the time could keep arpfabric from changing its own. Instead, if another process has committed a
// transaction, the next look examines the table again.
func (g *BridgeTable) commit(d *difference) error {
	if d.changes > 0 {
		if err := d.conn.Flush(); err != nil {
			return err
		}
		d.updateHandles(g.handles)
		g.noteCommit()
	}
	applied := d.want // a copy, so that d, which may be large, can be freed
	g.applied, g.inForce = &applied, true
	return nil
}

// noteCommit updates the generations after a transaction of ours.
func (g *BridgeTable) noteCommit() {
	now, err := currentGeneration()
	switch {
	case err != nil || now != next(g.generation): // another process has committed a transaction, too
		g.generation, g.examined = 0, 0
	case g.examined == g.generation:
		g.generation, g.examined = now, now
	default:
		g.generation = now
	}
}

// Remove deletes the table. It is no error if there is none, or if the kernel does not support such tables.
func (g *BridgeTable) Remove() error {
	g.forget()
	return removeTable(bridgeTable(), nftables.WithSockOptions(g.changes.noteSocket))
}

// forget records that there should be no table.
func (g *BridgeTable) forget() { g.applied, g.inForce = nil, false }

// IsThere reports whether there is a table, including one that another process has left. It returns false if the kernel
// has no nftables, or if the process may not list tables: then it may not remove one either.
func (g *BridgeTable) IsThere() bool { return isThere(nftables.TableFamilyBridge) }

func isThere(family nftables.TableFamily) bool {
	c, err := nftables.New()
	if err != nil {
		return false
	}
	t, err := find(c, family)
	return err == nil && t != nil
}

func bridgeTable() *nftables.Table {
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

// next returns the generation that follows another. The kernel skips 0 (net/netfilter/nf_tables_api.c,
// nf_tables_commit).
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
