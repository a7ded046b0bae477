package registry

import (
	"iter"
	"net/netip"
)

// A run is a run of addresses, as long as possible, that belong to one binding.
type run struct {
	first, last IPv4
	owner       Owner
	single      position // of the binding, if record is nil
	record      *record  // the binding, if it is a range
}

// Owners yields, of the bindings of addresses, every run of addresses that belong to one binding, in the order of addresses: the binding, with First and
// Last of the run. Runs are disjoint and as long as possible; a binding of one address in a range cuts the range in two.
// [Registry.Lookup] finds the same, uncut binding for each address of a run.
func (r *Registry) Owners() iter.Seq[Binding] { return r.bindings(r.runs(0, maxIPv4)) }

func (r *Registry) bindings(runs iter.Seq[run]) iter.Seq[Binding] {
	return func(yield func(Binding) bool) {
		for u := range runs {
			if !yield(r.binding(u)) {
				return
			}
		}
	}
}

// binding returns the binding of a run, cut to the run.
func (r *Registry) binding(u run) Binding {
	if u.record == nil {
		return r.bindingOf(u.single, u.first)
	}
	b := r.bindingOfRange(u.record)
	b.First, b.Last = u.first.Addr(), u.last.Addr()
	return b
}

// runs yields the runs with an address from first to last, in the order of addresses. They are not cut at first and last.
func (r *Registry) runs(first, last IPv4) iter.Seq[run] {
	if u, ok := r.runAt(first); ok {
		first = u.first
	}
	if u, ok := r.runAt(last); ok {
		last = u.last
	}
	return func(yield func(run) bool) {
		p := pieces{ranges: &r.ranges, rest: r.ranges.runsFrom(first), yield: yield}
		at := first
		for ip, pos := range r.single.from(first, last) {
			if ip > at && !p.yieldBetween(at, ip-1) || !yield(run{ip, ip, pos.block.owners[pos.index], pos, nil}) {
				return
			}
			at = ip + 1 // no overflow: nothing above 223.255.255.255 can be bound
		}
		if at <= last {
			p.yieldBetween(at, last)
		}
	}
}

// runAt returns the run that has ip, or false if no binding has ip.
func (r *Registry) runAt(ip IPv4) (run, bool) {
	if b, i, ok := r.single.find(ip); ok {
		return run{ip, ip, b.owners[i], position{b, i}, nil}, true
	}
	rest := r.ranges.runsFrom(ip)
	if len(rest) == 0 || rest[0].first > ip {
		return run{}, false
	}
	first, last := rest[0].first, rest[0].last
	if before, ok := r.single.lastBefore(ip); ok {
		first = max(first, before+1)
	}
	if after, ok := r.single.firstAfter(ip); ok {
		last = min(last, after-1)
	}
	rec := &r.ranges.bindings[rest[0].index]
	return run{first, last, rec.owner, position{}, rec}, true
}

// pieces yields the pieces of ranges' runs between bindings of one address.
type pieces struct {
	ranges *ranges
	rest   []segment // the runs that may have addresses to come
	yield  func(run) bool
}

// yieldBetween yields the pieces from first to last, both included. Calls must be in the order of addresses. It returns
// false if yield did.
func (p *pieces) yieldBetween(first, last IPv4) bool {
	for len(p.rest) > 0 && p.rest[0].first <= last {
		s := p.rest[0]
		rec := &p.ranges.bindings[s.index]
		if s.last >= first && !p.yield(run{max(s.first, first), min(s.last, last), rec.owner, position{}, rec}) {
			return false
		}
		if s.last > last {
			return true
		}
		p.rest = p.rest[1:]
	}
	return true
}

// Run returns the run of addresses that has addr: its binding, with First and Last of the run. It returns false if no
// binding has addr.
func (r *Registry) Run(addr netip.Addr) (Binding, bool) {
	if !addr.Is4() {
		return Binding{}, false
	}
	u, ok := r.runAt(IPv4Of(addr))
	if !ok {
		return Binding{}, false
	}
	return r.binding(u), true
}
