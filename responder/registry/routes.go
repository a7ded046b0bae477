package registry

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
)

// A Route is a run of addresses that a router may send from, and receive for, beside those that are bound to it.
type Route struct {
	First, Last netip.Addr
	MAC         MAC    // of the router
	Port        string // the only port that it may send from; empty for any
}

// routes are the routers' runs of addresses. They are disjoint for one owner, and sorted by owner, then by address.
type routes []route

type route struct {
	interval
	owner Owner
}

// newRoutes returns the routes of a registry's bindings. Those of one owner are merged where they overlap or are adjacent.
func newRoutes(r *Registry) routes {
	var all routes
	add := func(owner Owner, prefixes Prefixes) {
		for prefix := range prefixes.All() {
			for _, run := range hostRuns(prefix) {
				all = append(all, route{run, owner})
			}
		}
	}
	for _, e := range r.extras {
		add(e.owner, e.routes)
	}
	for _, a := range r.alones {
		add(a.owner, a.routes)
	}
	return all.merged()
}

// onAnyPort returns the routes without their ports.
func (rs routes) onAnyPort() routes {
	all := slices.Clone(rs)
	for i := range all {
		all[i].owner.port = anyPort
	}
	return all.merged()
}

// merged sorts routes, and merges those of one owner. It changes rs.
func (rs routes) merged() routes {
	slices.SortFunc(rs, route.compare)
	merged := rs[:0]
	for _, r := range rs {
		if n := len(merged); n > 0 && merged[n-1].owner == r.owner && r.first <= merged[n-1].last+1 {
			merged[n-1].last = max(merged[n-1].last, r.last)
			continue
		}
		merged = append(merged, r)
	}
	return slices.Clip(merged)
}

func (r route) compare(other route) int {
	return cmp.Or(cmp.Compare(r.owner.key(), other.owner.key()), cmp.Compare(r.first, other.first))
}

// of returns the routes of a MAC.
func (rs routes) of(mac MAC) routes {
	rs = rs[rs.firstFrom(Owner{MAC: mac}):]
	return rs[:rs.countWhile(func(r route) bool { return r.owner.MAC == mac })]
}

// firstFrom returns the index of the first route of an owner or of later ones.
func (rs routes) firstFrom(o Owner) int {
	at, _ := slices.BinarySearchFunc(rs, o.key(), func(r route, key uint64) int { return cmp.Compare(r.owner.key(), key) })
	return at
}

// countWhile returns the number of routes before the first for which match returns false. There are none after that one
// for which it returns true.
func (rs routes) countWhile(match func(route) bool) int {
	at, _ := slices.BinarySearchFunc(rs, true, func(r route, _ bool) int {
		if match(r) {
			return -1
		}
		return 1
	})
	return at
}

// contain reports whether one of the routes of one owner contains ip.
func (rs routes) contain(o Owner, ip IPv4) bool {
	rs = rs[rs.firstFrom(o):]
	at := rs.countWhile(func(r route) bool { return r.owner == o && r.last < ip })
	return at < len(rs) && rs[at].owner == o && rs[at].first <= ip
}

// IsRouter reports whether mac has routes: it may send from, and receive for, addresses that are not bound to it.
func (r *Registry) IsRouter(mac MAC) bool { return len(r.routes.of(mac)) > 0 }

// MayForward reports whether mac may send from ip on a port because of its routes.
func (r *Registry) MayForward(mac MAC, ip IPv4, port string) bool {
	for list := r.routes.of(mac); len(list) > 0; {
		owner := list[0].owner
		if r.Admits(owner, port) && list.contain(owner, ip) {
			return true
		}
		list = list[list.countWhile(func(r route) bool { return r.owner == owner }):]
	}
	return false
}

// MayReceive reports whether mac may receive for ip: the address is bound to it, or its routes contain it, whatever ports
// they name.
func (r *Registry) MayReceive(mac MAC, ip IPv4) bool {
	if owner, bound := r.Owner(ip); bound && owner.MAC == mac {
		return true
	}
	return r.routesTo.contain(Owner{MAC: mac}, ip)
}

// Routes yields the routes of all routers. The routes of one MAC with one port are disjoint and as long as possible.
func (r *Registry) Routes() iter.Seq[Route] { return r.each(r.routes) }

// RoutesTo yields the addresses that each router may receive for beside its own, whatever ports its routes name. The
// routes of one MAC are disjoint and as long as possible, and have no port.
func (r *Registry) RoutesTo() iter.Seq[Route] { return r.each(r.routesTo) }

func (r *Registry) each(list routes) iter.Seq[Route] {
	return func(yield func(Route) bool) {
		for _, of := range list {
			if !yield(Route{of.first.Addr(), of.last.Addr(), of.owner.MAC, r.ports.at(uint32(of.owner.port))}) {
				return
			}
		}
	}
}

// hasSameRoutes reports whether two registries have the same routes.
func (r *Registry) hasSameRoutes(other *Registry) bool {
	if isSameArray(r.routes, other.routes) {
		return true // the usual case: an edit that changes no route shares them
	}
	theirs := map[Route]bool{} // not in order: ports have different numbers in different registries
	for route := range other.Routes() {
		theirs[route] = true
	}
	for route := range r.Routes() {
		if !theirs[route] {
			return false
		}
	}
	return len(r.routes) == len(other.routes)
}

// isSameArray reports whether two slices are the same part of one array.
func isSameArray[T any](a, b []T) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }
