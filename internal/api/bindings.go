package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// A BindingQuery selects bindings of a network. The zero value of a field selects all.
type BindingQuery struct {
	Source  Source
	MAC     registry.MAC
	Name    string
	Address netip.Addr // only those that have it
	After   netip.Addr // only those that begin behind it
	Limit   int        // the most bindings, at least 1
}

// networkBindings answers with a page of a network's bindings.
func (s *Server) networkBindings(r *http.Request) (BindingPage, *Problem) {
	q := BindingQuery{Source: Source(r.URL.Query().Get("source")), Name: r.URL.Query().Get("name"), Limit: MaxPage}
	if q.Source != "" && !slices.Contains(Sources(), string(q.Source)) {
		return BindingPage{}, problem(http.StatusBadRequest, "unknown source %q; want one of %s", q.Source, strings.Join(Sources(), ", "))
	}
	var p *Problem
	if q.MAC, p = parseMAC(r.URL.Query().Get("mac")); p != nil {
		return BindingPage{}, p
	}
	if q.After, p = parseAddr(r.URL.Query().Get("after")); p != nil {
		return BindingPage{}, p
	}
	if q.Limit, p = parseLimit(r); p != nil {
		return BindingPage{}, p
	}
	page, err := s.fabric.NetworkBindings(r.PathValue("network"), q)
	return page, problemOf(err)
}

// networkBinding answers with the binding of an address.
func (s *Server) networkBinding(w http.ResponseWriter, r *http.Request) {
	addr, p := parseAddr(r.PathValue("address"))
	if p != nil {
		s.sendProblem(w, p)
		return
	}
	withQuerySlot(func(s *Server, r *http.Request) (NetworkBinding, *Problem) {
		network := r.PathValue("network")
		page, err := s.fabric.NetworkBindings(network, BindingQuery{Address: addr, Limit: 1})
		if err != nil {
			return NetworkBinding{}, problemOf(err)
		}
		if len(page.Bindings) == 0 {
			return NetworkBinding{}, problem(http.StatusNotFound, "%s has no binding in network %s", addr, network)
		}
		setETag(w, page.Bindings[0])
		return page.Bindings[0], nil
	})(s, w, r)
}

func (s *Server) freeRanges(r *http.Request) ([]FreeRange, *Problem) {
	limit, p := parseLimit(r)
	if p != nil {
		return nil, p
	}
	free, err := s.fabric.FreeRanges(r.PathValue("network"), limit)
	return free, problemOf(err)
}

// addressMap answers with a map of a network's addresses.
func (s *Server) addressMap(r *http.Request) (AddressMap, *Problem) {
	after, p := parseAddr(r.URL.Query().Get("after"))
	if p != nil {
		return AddressMap{}, p
	}
	limit, p := parseLimit(r)
	if p != nil {
		return AddressMap{}, p
	}
	m, err := s.fabric.AddressMap(r.PathValue("network"), after, limit)
	return m, problemOf(err)
}

func (s *Server) history(r *http.Request) ([]Change, *Problem) {
	limit, p := parseLimit(r)
	if p != nil {
		return nil, p
	}
	q := store.HistoryQuery{Network: r.URL.Query().Get("network"), Limit: limit}
	if text := r.URL.Query().Get("before"); text != "" {
		var err error
		if q.Before, err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, problem(http.StatusBadRequest, "%q is not a revision", text)
		}
	}
	changes, err := s.fabric.History(q)
	return changes, problemOf(err)
}

// allocate answers a POST: it allocates an address that has no allocation.
func (s *Server) allocate(w http.ResponseWriter, r *http.Request) {
	s.change(w, r, func(caller store.Caller) (NetworkBinding, error) {
		var body NewAllocation
		if p := s.decode(w, r, &body); p != nil {
			return NetworkBinding{}, p
		}
		q, err := body.AllocationSettings.request(time.Now())
		if err != nil {
			return NetworkBinding{}, err
		}
		q.Caller = caller
		if err := body.place(&q); err != nil {
			return NetworkBinding{}, err
		}
		return s.fabric.Allocate(r.Context(), r.PathValue("network"), q)
	})
}

// putBinding answers a PUT: it allocates an address, or changes its allocation.
func (s *Server) putBinding(w http.ResponseWriter, r *http.Request) {
	s.change(w, r, func(caller store.Caller) (NetworkBinding, error) {
		var body AllocationSettings
		if p := s.decode(w, r, &body); p != nil {
			return NetworkBinding{}, p
		}
		q, err := body.request(time.Now())
		if err != nil {
			return NetworkBinding{}, err
		}
		q.Caller = caller
		var p *Problem
		if q.Address, p = parseAddr(r.PathValue("address")); p != nil {
			return NetworkBinding{}, p
		}
		if q.Precondition, p = precondition(r); p != nil {
			return NetworkBinding{}, p
		}
		return s.fabric.PutBinding(r.Context(), r.PathValue("network"), q)
	})
}

// freeBinding answers a DELETE: it frees an address.
func (s *Server) freeBinding(w http.ResponseWriter, r *http.Request) {
	s.change(w, r, func(caller store.Caller) (NetworkBinding, error) {
		addr, p := parseAddr(r.PathValue("address"))
		if p != nil {
			return NetworkBinding{}, p
		}
		expected, p := precondition(r)
		if p != nil {
			return NetworkBinding{}, p
		}
		return s.fabric.FreeBinding(r.Context(), r.PathValue("network"), addr, expected, caller)
	})
}

// change runs a change for a caller who may make it, and answers with the binding.
func (s *Server) change(w http.ResponseWriter, r *http.Request, do func(store.Caller) (NetworkBinding, error)) {
	caller, p := s.writers.admit(r)
	if p != nil {
		s.sendProblem(w, p)
		return
	}
	b, err := do(caller)
	if p := problemOf(err); p != nil {
		s.sendProblem(w, p)
		return
	}
	setETag(w, b)
	s.sendAnswer(w, encode(b))
}

// request converts the settings of an allocation.
func (a AllocationSettings) request(now time.Time) (q allocate.Request, err error) {
	mac, p := parseMAC(a.MAC)
	if p != nil {
		return q, p
	}
	q = allocate.Request{MAC: mac, Name: a.Name, Port: a.Port}
	switch {
	case a.TTL != "" && a.Expires != nil:
		return q, problem(http.StatusBadRequest, "give either ttl or expires")
	case a.Expires != nil:
		q.Expires = *a.Expires
	case a.TTL != "":
		ttl, err := time.ParseDuration(a.TTL)
		if err != nil || ttl <= 0 {
			return q, problem(http.StatusBadRequest, "%q is not a duration, such as 90s, 10m or 24h", a.TTL)
		}
		// Not less than asked for: expiries are whole seconds.
		q.Expires = now.Add(ttl + time.Second - 1).Truncate(time.Second)
	}
	return q, nil
}

// place sets the address or the range of a request.
func (n NewAllocation) place(q *allocate.Request) error {
	if n.Address != "" && n.From != "" {
		return problem(http.StatusBadRequest, "give either address or from")
	}
	var p *Problem
	if q.Address, p = parseAddr(n.Address); p != nil {
		return p
	}
	if n.From == "" {
		return nil
	}
	var err error
	if q.From, err = config.ParseRange(n.From); err != nil {
		return problem(http.StatusBadRequest, "%s", err)
	}
	return nil
}

// parseAddr parses an IPv4 address. It returns the zero Addr for "".
func parseAddr(text string) (netip.Addr, *Problem) {
	addr, err := netip.ParseAddr(text)
	if text != "" && (err != nil || !addr.Is4()) {
		return addr, problem(http.StatusBadRequest, "%q is not an IPv4 address", text)
	}
	return addr, nil
}

// parseMAC parses a MAC. It returns the zero MAC for "".
func parseMAC(text string) (mac registry.MAC, p *Problem) {
	if text == "" {
		return mac, nil
	}
	mac, err := registry.ParseMAC(text)
	if err != nil {
		return mac, problem(http.StatusBadRequest, "%s", err)
	}
	return mac, nil
}

func parseLimit(r *http.Request) (int, *Problem) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return MaxPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > MaxPage {
		return 0, problem(http.StatusBadRequest, "%q is not a limit: want 1 to %d", text, MaxPage)
	}
	return n, nil
}

// etag returns the ETag of a revision (RFC 9110, 8.8.3).
func etag(revision uint64) string { return fmt.Sprintf(`"%d"`, revision) }

// setETag sets the ETag of an allocation. Bindings of the configuration have none, because the API can't change them.
func setETag(w http.ResponseWriter, b NetworkBinding) {
	if b.Revision != 0 {
		w.Header().Set("ETag", etag(b.Revision))
	}
}

// precondition parses If-Match with one ETag, and If-None-Match: * (RFC 9110, 13.1).
func precondition(r *http.Request) (p allocate.Precondition, wrong *Problem) {
	switch text := r.Header.Get("If-None-Match"); text {
	case "":
	case "*":
		p.Absent = true
	default:
		return p, problem(http.StatusBadRequest, "If-None-Match takes *, not %s", text)
	}
	text := r.Header.Get("If-Match")
	if text == "" {
		return p, nil
	}
	revision, err := strconv.ParseUint(strings.Trim(text, `"`), 10, 64)
	if err != nil || revision == 0 || etag(revision) != text {
		return p, problem(http.StatusBadRequest, "If-Match takes one ETag of this path, not %s", text)
	}
	p.Revision = revision
	return p, nil
}

// statuses are the statuses of refusals.
var statuses = map[allocate.Cause]int{
	allocate.Invalid:   http.StatusBadRequest,
	allocate.Taken:     http.StatusConflict,
	allocate.Missing:   http.StatusNotFound,
	allocate.Exhausted: http.StatusConflict,
	allocate.Changed:   http.StatusPreconditionFailed,
}

// problemOf returns the document of an error, nil for nil.
func problemOf(err error) *Problem {
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if refusal, ok := errors.AsType[*allocate.Refusal](err); ok {
		return problem(statuses[refusal.Cause], "%s", refusal.Text)
	}
	return problem(http.StatusServiceUnavailable, "%s", err)
}
