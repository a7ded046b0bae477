package nft

import (
	"errors"
	"hash/maphash"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Intact reports whether the table in the kernel is as Apply left it. Another process may have flushed the ruleset, or
// changed the table; the next Apply then installs it again. Intact returns true before the first Apply. It takes
// microseconds if no process has changed nftables since the last call, or if the kernel has notified the watcher that
// another process has changed the table. Otherwise it reads all bindings back, which takes a second with a hundred
// thousand.
func (g *BridgeTable) Intact() bool { return g.isIntactSince(&g.examined, everySet) }

// LooksIntact does the same without the sets of bindings. It takes about a millisecond.
func (g *BridgeTable) LooksIntact() bool { return g.isIntactSince(&g.generation, smallSets) }

func everySet(set) bool    { return true }
func smallSets(s set) bool { return !s.fromRegistry }

// isIntactSince reports whether nftables still has the generation known, or else whether the rules and some sets are as
// they were applied. It updates the generation.
func (g *BridgeTable) isIntactSince(known *uint32, some func(set) bool) bool {
	if g.applied == nil {
		return true
	}
	if g.changes.byOthers() {
		g.applied = nil
		return false
	}
	now, err := currentGeneration()
	if err == nil && now == *known {
		return true
	}
	if err != nil || !g.isInForce(some) {
		g.applied = nil
		return false
	}
	g.generation, *known = now, now // read before the table, so that the next call notices changes since then
	return true
}

// isInForce reports whether the rules, and some sets, are in force as they were applied.
func (g *BridgeTable) isInForce(some func(set) bool) bool {
	c, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(withLargeReads))
	if err != nil {
		return false
	}
	defer c.CloseLasting()
	return isActive(c) && g.hasItsChains(c) && g.hasItsRules(c) && g.hasItsElements(c, some)
}

// withLargeReads makes the kernel send messages of 32 KiB, its maximum, instead of 4 KiB. For each message of a set's
// elements, the kernel walks from the start of the set to the place where it stopped, so that reading a large set in
// small messages takes many times as long. The kernel sizes messages by the largest buffer that the socket was ever
// read into (net/netlink/af_netlink.c: max_recvmsg_len). So this reads an unimportant message into a large buffer.
func withLargeReads(c *netlink.Conn) error {
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

// isActive reports whether there is a table and it is not dormant.
func isActive(c *nftables.Conn) bool {
	t, err := find(c, nftables.TableFamilyBridge)
	return err == nil && t != nil && !isDormant(t)
}

// find returns the table of our name in a family, or nil if there is none.
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

// hasItsChains reports whether the table has the chains that were applied, with the same hooks and policies, and no
// others: another base chain could drop or alter frames, and another policy decides about frames that match no rule.
func (g *BridgeTable) hasItsChains(c *nftables.Conn) bool {
	want := map[string]chainHook{}
	for _, ch := range g.applied.chains {
		want[ch.name] = chainHookOf(ch.inTable())
	}
	have, err := chainsIn(c, nftables.TableFamilyBridge)
	return err == nil && maps.Equal(have, want)
}

// A chainHook says when the kernel calls a base chain, and with which policy. It is zero for a chain without a hook.
type chainHook struct {
	kind     nftables.ChainType
	hook     nftables.ChainHook
	priority nftables.ChainPriority
	policy   nftables.ChainPolicy
}

func chainHookOf(c *nftables.Chain) chainHook {
	if c.Hooknum == nil || c.Priority == nil || c.Policy == nil {
		return chainHook{}
	}
	return chainHook{c.Type, *c.Hooknum, *c.Priority, *c.Policy}
}

// chainsIn returns the hooks of the chains of our table in a family, by name.
func chainsIn(c *nftables.Conn, family nftables.TableFamily) (map[string]chainHook, error) {
	list, err := c.ListChainsOfTableFamily(family)
	if err != nil {
		return nil, err
	}
	chains := map[string]chainHook{}
	for _, ch := range list {
		if ch.Table.Name == TableName {
			chains[ch.Name] = chainHookOf(ch)
		}
	}
	return chains, nil
}

// hasItsRules reports whether the table has the rules that were applied, with the same expressions.
func (g *BridgeTable) hasItsRules(c *nftables.Conn) bool {
	for _, ch := range g.applied.chains {
		rules, err := rulesIn(c, ch.inTable())
		if err != nil || !slices.Equal(handlesOf(rules), g.handles[ch.name]) || !ch.matches(rules) {
			return false
		}
	}
	return true
}

// rulesIn returns a chain's rules from the kernel, in order, with counters at zero.
func rulesIn(c *nftables.Conn, ch *nftables.Chain) ([]*nftables.Rule, error) {
	rules, err := c.GetRules(ch.Table, ch)
	for _, r := range rules {
		for i, e := range r.Exprs {
			if _, ok := e.(*expr.Counter); ok {
				r.Exprs[i] = &expr.Counter{}
			}
		}
	}
	return rules, err
}

func handlesOf(rules []*nftables.Rule) []uint64 {
	var handles []uint64
	for _, r := range rules {
		handles = append(handles, r.Handle)
	}
	return handles
}

// matches reports whether rules have the expressions of the chain's rules. Handles do not show that, because a rule
// keeps its handle when it is replaced (`nft replace rule`).
func (ch chain) matches(rules []*nftables.Rule) bool {
	return slices.EqualFunc(rules, ch.rules, func(have *nftables.Rule, want rule) bool {
		return reflect.DeepEqual(have.Exprs, slices.DeleteFunc(slices.Concat(want.match, want.then), isUnreadable))
	})
}

// isUnreadable reports whether the nftables package leaves an expression out when it reads rules. The expression before it,
// which loads its device, tells whether it is there: nft(8) writes and removes both.
func isUnreadable(e expr.Any) bool {
	_, isCopy := e.(*expr.Dup)
	return isCopy
}

func (g *BridgeTable) hasItsElements(c *nftables.Conn, some func(set) bool) bool {
	want := g.applied.digests(some)
	for _, s := range g.applied.sets {
		if s.Dynamic || !some(s) {
			continue
		}
		if !hasElements(c, s, want[s.Name]) {
			return false
		}
	}
	return true
}

// hasElements reports whether a set in the kernel has the wanted elements. A large set is read in several messages,
// each of which continues where the last one ended. While the kernel resizes its hash table, as it does soon after many
// elements were added, such a read repeats some elements and misses others. So a set that differs is read again.
func hasElements(c *nftables.Conn, s set, want digest) bool {
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

// A digest is a hash of elements, in any order. Two sets with the same digest have the same elements.
type digest struct {
	count int
	sum   uint64
}

var seed = maphash.MakeSeed()

func (d *digest) add(e element) {
	d.count++
	d.sum += maphash.Comparable(seed, e)
}

// digests returns the digests of sets, by name. It computes those of the sets of bindings only if some includes one.
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
	for name, senders := range r.senders {
		for of, e := range newSendersChange(allowedSenders{}, senders).added() {
			d := all[of+name]
			d.add(e)
			all[of+name] = d
		}
	}
	return all
}
