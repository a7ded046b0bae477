package store

import (
	"container/heap"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// expiries is a heap of the times at which allocations expire. When an allocation is freed or changed, its expiry stays
// until it comes first, or until most are outdated.
type expiries []expiry

type expiry struct {
	at       int64  // Unix time
	revision uint64 // of the allocation
	network  string
	ip       registry.IPv4
}

// add adds the expiry of an allocation that is in the table, if it has one.
func (e *expiries) add(t *Table, a Allocation) {
	if a.Expires.IsZero() {
		return
	}
	if len(*e) >= cap(*e) { // renewals add expiries without end
		*e = slices.DeleteFunc(*e, t.isOutdated)
		*e = slices.Grow(*e, len(*e)+1)
		heap.Init(e)
	}
	heap.Push(e, expiry{a.Expires.Unix(), a.Revision, a.Network, registry.IPv4Of(a.Address)})
}

// isOutdated reports whether an expiry is no allocation's any more.
func (t *Table) isOutdated(e expiry) bool {
	current, _ := t.networks[e.network].entries.get(e.ip)
	return current.revision != e.revision
}

// NextExpiry returns when the next allocation expires, or the zero Time if none does.
func (t *Table) NextExpiry() time.Time {
	t.dropOutdated()
	if len(t.expiries) == 0 {
		return time.Time{}
	}
	return time.Unix(t.expiries[0].at, 0)
}

// Expired returns the allocations that have expired, at most limit.
func (t *Table) Expired(now time.Time, limit int) []Allocation {
	var all []Allocation
	var taken []expiry
	for t.dropOutdated(); len(t.expiries) > 0 && t.expiries[0].at <= now.Unix() && len(all) < limit; t.dropOutdated() {
		next := heap.Pop(&t.expiries).(expiry)
		taken = append(taken, next)
		expired, _ := t.networks[next.network].entries.get(next.ip)
		all = append(all, expired.allocation(next.network))
	}
	for _, e := range taken { // they stay until Commit has freed them
		heap.Push(&t.expiries, e)
	}
	return all
}

// dropOutdated drops expiries until the first one is an allocation's.
func (t *Table) dropOutdated() {
	for len(t.expiries) > 0 && t.isOutdated(t.expiries[0]) {
		heap.Pop(&t.expiries)
	}
}

// Len, Less, Swap, Push and Pop implement [heap.Interface].

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].at < e[j].at }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *expiries) Push(x any)        { *e = append(*e, x.(expiry)) }

func (e *expiries) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
