package nft

import (
	"iter"
	"reflect"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// A difference is the transaction that brings the table from one ruleset to another.
type difference struct {
	conn       *nftables.Conn
	have, want ruleset
	senders    map[string]sendersChange    // by network, for networks whose allowed senders differ
	rules      map[string][]*nftables.Rule // rules of chains that are new or changed; the flush sets their handles
	changes    int                         // number of operations in the transaction
}

func newDifference(c *nftables.Conn, have, want ruleset) *difference {
	d := &difference{
		conn: c, have: have, want: want,
		senders: map[string]sendersChange{}, rules: map[string][]*nftables.Rule{},
	}
	for name, after := range want.senders {
		if before := have.senders[name]; before != after {
			d.senders[name] = newSendersChange(before, after)
		}
	}
	return d
}

// write assembles the transaction.
//
// The kernel does not delete a chain that an element leads to, or a set that a rule refers to. So elements are deleted
// first, then chains, then sets, and they are added in the opposite order.
func (d *difference) write() error {
	if err := d.deleteElements(); err != nil {
		return err
	}
	d.deleteChains()
	d.deleteSets()
	if err := d.addSets(); err != nil {
		return err
	}
	d.addChains()
	return d.addElements()
}

func (d *difference) deleteElements() error {
	w := elementWriter{difference: d, in: &d.have, do: d.conn.SetDeleteElements}
	for _, had := range d.have.sets {
		wanted, stays := d.want.set(had.Name)
		if !stays {
			continue // the whole set is deleted
		}
		for e := range missing(had.elements, wanted.elements, element.compare) {
			w.add(had.Name, e)
		}
	}
	for name, change := range d.senders {
		if change.before.registry == nil {
			continue
		}
		for of, e := range change.removed() {
			w.add(of+name, e)
		}
	}
	return w.flush()
}

func (d *difference) addElements() error {
	w := elementWriter{difference: d, in: &d.want, do: d.conn.SetAddElements}
	for _, wanted := range d.want.sets {
		had, _ := d.have.set(wanted.Name)
		for e := range missing(wanted.elements, had.elements, element.compare) {
			w.add(wanted.Name, e)
		}
	}
	for name, change := range d.senders {
		for of, e := range change.added() {
			w.add(of+name, e)
		}
	}
	return w.flush()
}

// deleteChains deletes the chains that are no longer wanted. It deletes their rules first, because these chains may
// jump to each other.
func (d *difference) deleteChains() {
	var gone []*nftables.Chain
	for _, had := range d.have.chains {
		if _, stays := d.want.chain(had.name); !stays {
			c := had.inTable()
			gone = append(gone, c)
			d.conn.FlushChain(c)
		}
	}
	for _, c := range gone {
		d.conn.DelChain(c)
		d.changes++
	}
}

func (d *difference) deleteSets() {
	for _, had := range d.have.sets {
		if _, stays := d.want.set(had.Name); !stays {
			d.conn.DelSet(&had.Set)
			d.changes++
		}
	}
}

func (d *difference) addSets() error {
	for _, wanted := range d.want.sets {
		if _, was := d.have.set(wanted.Name); was {
			continue
		}
		if err := d.conn.AddSet(&wanted.Set, nil); err != nil {
			return err
		}
		d.changes++
	}
	return nil
}

// addChains adds the chains that are new, and replaces the rules of those that differ.
func (d *difference) addChains() {
	for _, wanted := range d.want.chains {
		had, was := d.have.chain(wanted.name)
		if was && reflect.DeepEqual(had, wanted) {
			continue
		}
		c := wanted.inTable()
		if was {
			d.conn.FlushChain(c)
		} else {
			d.conn.AddChain(c)
		}
		for _, r := range wanted.rules {
			d.rules[wanted.name] = append(d.rules[wanted.name], d.conn.AddRule(&nftables.Rule{
				Table:    bridgeTable(),
				Chain:    c,
				Exprs:    slices.Concat(r.match, r.then),
				UserData: userdata.AppendString(nil, userdata.TypeComment, r.comment),
			}))
		}
		d.changes++
	}
}

// updateHandles updates the handles of the table's rules after the flush.
func (d *difference) updateHandles(handles map[string][]uint64) {
	for _, had := range d.have.chains {
		if _, stays := d.want.chain(had.name); !stays {
			delete(handles, had.name)
		}
	}
	for name, rules := range d.rules {
		handles[name] = nil
		for _, r := range rules {
			handles[name] = append(handles[name], r.Handle)
		}
	}
}

func (ch chain) inTable() *nftables.Chain {
	c := &nftables.Chain{Table: bridgeTable(), Name: ch.name}
	if ch.hook != nil {
		accept := nftables.ChainPolicyAccept
		c.Type, c.Hooknum, c.Priority, c.Policy = nftables.ChainTypeFilter, ch.hook, priority, &accept
	}
	return c
}

// priority is NF_BR_PRI_NAT_DST_BRIDGED. The kernel calls our chains before the filters of other tables.
var priority = nftables.ChainPriorityRef(-300)

// An elementWriter adds elements to the transaction, or deletes them, set by set and some at a time: an element takes
// much more memory than its part of the message.
type elementWriter struct {
	*difference
	in      *ruleset
	do      func(*nftables.Set, []nftables.SetElement) error
	waiting map[string][]nftables.SetElement // by the set's name
	err     error
}

const elementsAtOnce = 1000

func (w *elementWriter) add(set string, e element) {
	if w.waiting == nil {
		w.waiting = map[string][]nftables.SetElement{}
	}
	w.changes++
	w.waiting[set] = append(w.waiting[set], e.inSet())
	if len(w.waiting[set]) == elementsAtOnce {
		w.write(set)
	}
}

func (w *elementWriter) write(name string) {
	s, _ := w.in.set(name)
	if err := w.do(&s.Set, w.waiting[name]); w.err == nil {
		w.err = err
	}
	w.waiting[name] = w.waiting[name][:0]
}

func (w *elementWriter) flush() error {
	for name := range w.waiting {
		w.write(name)
	}
	return w.err
}

func (e element) inSet() nftables.SetElement {
	n := nftables.SetElement{Key: []byte(e.key)}
	if e.last != "" {
		n.KeyEnd = []byte(e.last)
	}
	if e.goTo != "" {
		n.VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: e.goTo}
	}
	return n
}

// set returns the set of a name.
func (r *ruleset) set(name string) (set, bool) {
	i := slices.IndexFunc(r.sets, func(s set) bool { return s.Name == name })
	if i < 0 {
		return set{}, false
	}
	return r.sets[i], true
}

// chain returns the chain of a name.
func (r *ruleset) chain(name string) (chain, bool) {
	i := slices.IndexFunc(r.chains, func(c chain) bool { return c.name == name })
	if i < 0 {
		return chain{}, false
	}
	return r.chains[i], true
}

// missing yields the values of list that other lacks. Both are sorted.
func missing[T comparable](list, other []T, compare func(T, T) int) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, v := range list {
			for len(other) > 0 && compare(other[0], v) < 0 {
				other = other[1:]
			}
			if (len(other) == 0 || other[0] != v) && !yield(v) {
				return
			}
		}
	}
}
