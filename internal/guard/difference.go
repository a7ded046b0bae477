package guard

import (
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
	bindings   map[string]*ownerships      // by network, where the population is another one
	rules      map[string][]*nftables.Rule // of chains that are new or changed; they get handles with the flush
	changes    int
}

func newDifference(c *nftables.Conn, have, want ruleset) *difference {
	d := &difference{
		conn: c, have: have, want: want,
		bindings: map[string]*ownerships{}, rules: map[string][]*nftables.Rule{},
	}
	for name, population := range want.populations {
		if before := have.populations[name]; before != population {
			d.bindings[name] = comparePopulations(before, population)
		}
	}
	return d
}

// write puts the transaction together: first what goes, from the elements that lead to chains to the sets that
// rules look into; then what comes, the other way round.
func (d *difference) write() error {
	if err := d.takeElements(); err != nil {
		return err
	}
	d.takeChains()
	d.takeSets()
	if err := d.putSets(); err != nil {
		return err
	}
	d.putChains()
	return d.putElements()
}

func (d *difference) takeElements() error {
	w := elementWriter{difference: d, in: &d.have, do: d.conn.SetDeleteElements}
	for _, had := range d.have.sets {
		wanted, stays := d.want.set(had.Name)
		if !stays {
			continue // it goes as a whole
		}
		for e := range unlike(had.elements, wanted.elements, element.compare) {
			w.add(had.Name, e)
		}
	}
	for name, o := range d.bindings {
		if d.have.populations[name].registry == nil {
			continue
		}
		for of, e := range o.removed() {
			w.add(of+name, e)
		}
	}
	return w.flush()
}

func (d *difference) putElements() error {
	w := elementWriter{difference: d, in: &d.want, do: d.conn.SetAddElements}
	for _, wanted := range d.want.sets {
		had, _ := d.have.set(wanted.Name)
		for e := range unlike(wanted.elements, had.elements, element.compare) {
			w.add(wanted.Name, e)
		}
	}
	for name, o := range d.bindings {
		for of, e := range o.added() {
			w.add(of+name, e)
		}
	}
	return w.flush()
}

// takeChains removes the chains that are no more. Their rules go first, as they may lead to each other.
func (d *difference) takeChains() {
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

func (d *difference) takeSets() {
	for _, had := range d.have.sets {
		if _, stays := d.want.set(had.Name); !stays {
			d.conn.DelSet(&had.Set)
			d.changes++
		}
	}
}

func (d *difference) putSets() error {
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

func (d *difference) putChains() {
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
				Table:    table(),
				Chain:    c,
				Exprs:    slices.Concat(r.match, r.then),
				UserData: userdata.AppendString(nil, userdata.TypeComment, r.comment),
			}))
		}
		d.changes++
	}
}

// updateHandles brings the handles of the table's rules up to date after the flush.
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
	c := &nftables.Chain{Table: table(), Name: ch.name}
	if ch.hook != nil {
		accept := nftables.ChainPolicyAccept
		c.Type, c.Hooknum, c.Priority, c.Policy = nftables.ChainTypeFilter, ch.hook, priority, &accept
	}
	return c
}

// priority is NF_BR_PRI_NAT_DST_BRIDGED: before other tables' filters.
var priority = nftables.ChainPriorityRef(-300)

// An elementWriter writes elements down set by set, a few at a time: an element takes much more memory than
// the message that it becomes.
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

// set and chain find by name.
func (r *ruleset) set(name string) (set, bool) {
	i := slices.IndexFunc(r.sets, func(s set) bool { return s.Name == name })
	if i < 0 {
		return set{}, false
	}
	return r.sets[i], true
}

func (r *ruleset) chain(name string) (chain, bool) {
	i := slices.IndexFunc(r.chains, func(c chain) bool { return c.name == name })
	if i < 0 {
		return chain{}, false
	}
	return r.chains[i], true
}
