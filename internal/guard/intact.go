package guard

import (
	"errors"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Intact reports whether the kernel holds the guard as Apply left it. Somebody may have flushed the
// ruleset, or changed the table by hand; the next Apply installs it anew then. It is true before the first
// Apply. Where nobody has changed any ruleset since it was asked last, it is a matter of microseconds, else of
// reading all bindings back: a second with a hundred thousand.
func (g *Guard) Intact() bool { return g.isAsAt(&g.examined, everySet) }

// LooksIntact is the same but for the sets that a registry fills: a matter of a millisecond.
func (g *Guard) LooksIntact() bool { return g.isAsAt(&g.generation, smallSets) }

func everySet(set) bool    { return true }
func smallSets(s set) bool { return !s.fromRegistry }

// isAsAt reports whether nothing has changed since a generation, or else whether the rules and some sets are in
// force. It brings the generation up to date.
func (g *Guard) isAsAt(known *uint32, some func(set) bool) bool {
	if g.applied == nil {
		return true
	}
	now, err := currentGeneration()
	if err == nil && now == *known {
		return true
	}
	if err != nil || !g.isInForce(some) {
		g.applied = nil
		return false
	}
	g.generation, *known = now, now // what changes from here on is noticed the next time
	return true
}

// isInForce holds the table, with some of its sets, against what was applied.
func (g *Guard) isInForce(some func(set) bool) bool {
	c, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(takeMuchAtOnce))
	if err != nil {
		return false
	}
	defer c.CloseLasting()
	return isAwake(c) && g.hasItsChains(c) && g.hasItsRules(c) && g.hasItsElements(c, some)
}

// takeMuchAtOnce makes the kernel fill messages of 32 KiB, its most, where it would fill 4 KiB. For each message of a
// set's elements it counts from the set's beginning to where it was, so that many small ones take many times as long.
// It goes by the largest buffer that it was ever read into (net/netlink/af_netlink.c: max_recvmsg_len), so
// one is held out for a message without meaning.
func takeMuchAtOnce(c *netlink.Conn) error {
	const getGeneration = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN
	header := netlink.Header{Type: getGeneration, Flags: netlink.Request}
	if _, err := c.Send(netlink.Message{Header: header, Data: make([]byte, 4)}); err != nil { // struct nfgenmsg
		return err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	buffer := make([]byte, 32<<10)
	var problem error
	err = raw.Read(func(fd uintptr) bool {
		_, _, problem = unix.Recvfrom(int(fd), buffer, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return !errors.Is(problem, unix.EAGAIN)
	})
	if err := errors.Join(err, problem); err != nil {
		return err
	}
	_, err = c.Receive()
	return err
}

// isAwake reports whether there is a table, and the kernel goes by it.
func isAwake(c *nftables.Conn) bool {
	t, err := find(c, nftables.TableFamilyBridge)
	return err == nil && t != nil && !isDormant(t)
}

// find returns the table of our name in a family, or nil where there is none.
func find(c *nftables.Conn, family nftables.TableFamily) (*nftables.Table, error) {
	tables, err := c.ListTablesOfFamily(family)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == TableName })
	if i < 0 {
		return nil, nil
	}
	return tables[i], nil
}

func isDormant(t *nftables.Table) bool {
	const dormant = 1 // NFT_TABLE_F_DORMANT
	return t.Flags&dormant != 0
}

// hasItsChains reports whether the chains are the ones that were written, and no others: one more with a hook, or another
// policy, decides about frames that come past all rules.
func (g *Guard) hasItsChains(c *nftables.Conn) bool {
	want := map[string]bearings{}
	for _, ch := range g.applied.chains {
		want[ch.name] = bearingsOf(ch.inTable())
	}
	have, err := chainsIn(c, nftables.TableFamilyBridge)
	return err == nil && maps.Equal(have, want)
}

// bearings are when the kernel calls a chain, and what becomes of frames that its rules don't decide about. They are
// zero for a chain that is jumped to.
type bearings struct {
	kind     nftables.ChainType
	hook     nftables.ChainHook
	priority nftables.ChainPriority
	policy   nftables.ChainPolicy
}

func bearingsOf(c *nftables.Chain) bearings {
	if c.Hooknum == nil || c.Priority == nil || c.Policy == nil {
		return bearings{}
	}
	return bearings{c.Type, *c.Hooknum, *c.Priority, *c.Policy}
}

// chainsIn returns the bearings of the chains of our table in a family, by name.
func chainsIn(c *nftables.Conn, family nftables.TableFamily) (map[string]bearings, error) {
	list, err := c.ListChainsOfTableFamily(family)
	if err != nil {
		return nil, err
	}
	chains := map[string]bearings{}
	for _, ch := range list {
		if ch.Table.Name == TableName {
			chains[ch.Name] = bearingsOf(ch)
		}
	}
	return chains, nil
}

// hasItsRules reports whether the rules are the ones that were written: a rule that is replaced gets another handle.
func (g *Guard) hasItsRules(c *nftables.Conn) bool {
	for _, ch := range g.applied.chains {
		handles, err := handlesIn(c, ch.inTable())
		if err != nil || !slices.Equal(handles, g.handles[ch.name]) {
			return false
		}
	}
	return true
}

// handlesIn returns the handles of a chain's rules, in order.
func handlesIn(c *nftables.Conn, ch *nftables.Chain) ([]uint64, error) {
	rules, err := c.GetRules(ch.Table, ch)
	if err != nil {
		return nil, err
	}
	var handles []uint64
	for _, r := range rules {
		handles = append(handles, r.Handle)
	}
	return handles, nil
}

func (g *Guard) hasItsElements(c *nftables.Conn, some func(set) bool) bool {
	want := g.applied.digests(some)
	for _, s := range g.applied.sets {
		if s.Dynamic || !some(s) {
			continue
		}
		if !holds(c, s, want[s.Name]) {
			return false
		}
	}
	return true
}

// holds reports whether the kernel has the elements in a set that it should have. A large set is read in several
// messages, each from where the last one ended; if the kernel is about to give the elements other places, as it does soon
// after many were added, some are read twice and others not at all. So it is read again before that counts.
func holds(c *nftables.Conn, s set, want digest) bool {
	const readings, pause = 4, 50 * time.Millisecond
	for i := range readings {
		if i > 0 {
			time.Sleep(pause)
		}
		have, err := digestOf(c, s)
		if err != nil {
			return false
		}
		if have == want {
			return true
		}
	}
	return false
}

func digestOf(c *nftables.Conn, s set) (d digest, err error) {
	elements, err := c.GetSetElements(&s.Set)
	for _, e := range elements {
		d.add(element{key: string(e.Key), last: string(e.KeyEnd), goTo: goToIn(e)})
	}
	return d, err
}

// goToIn returns the chain that an element of a map leads to.
func goToIn(e nftables.SetElement) string {
	ad, err := netlink.NewAttributeDecoder(e.Val)
	if err != nil {
		return ""
	}
	for ad.Next() {
		if ad.Type() == unix.NFTA_VERDICT_CHAIN {
			return ad.String()
		}
	}
	return ""
}

// A digest stands for elements in any order: two sets with the same digest have the same elements.
type digest struct {
	count int
	sum   uint64
}

var seed = maphash.MakeSeed()

func (d *digest) add(e element) {
	d.count++
	d.sum += maphash.Comparable(seed, e)
}

// digests returns those of some sets, by name.
func (r *ruleset) digests(some func(set) bool) map[string]digest {
	all := map[string]digest{}
	bindings := false
	for _, s := range r.sets {
		var d digest
		for _, e := range s.elements {
			d.add(e)
		}
		all[s.Name] = d
		bindings = bindings || s.fromRegistry && some(s)
	}
	if !bindings {
		return all
	}
	for name, everybody := range r.populations {
		for of, e := range comparePopulations(population{}, everybody).added() {
			d := all[of+name]
			d.add(e)
			all[of+name] = d
		}
	}
	return all
}
