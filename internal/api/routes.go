package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
)

// The paths of the API, all of version 1.
const (
	pathStatus     = "/v1/status"
	pathPorts      = "/v1/ports"
	pathViolations = "/v1/violations"
	pathClear      = "/v1/violations/clear"
	pathBindings   = "/v1/bindings"
	pathEvents     = "/v1/events"
	pathExplain    = "/v1/explanation"
	pathReload     = "/v1/reload"
	pathOpenAPI    = "/v1/openapi.json"
	pathHistory    = "/v1/history"

	pathNetworkBindings = "/v1/networks/{network}/bindings"
	pathNetworkBinding  = "/v1/networks/{network}/bindings/{address}"
	pathFree            = "/v1/networks/{network}/free"
	pathAddresses       = "/v1/networks/{network}/addresses"
)

// A route is one operation of the API. The server and docs/openapi.json are both derived from the routes.
type route struct {
	method, path string // a part of the path in braces stands for any text without a slash
	id           string // of the operation; the path's last part if it is empty
	summary      string
	query        []parameter
	headers      []parameter
	body         reflect.Type // of the JSON in the request; nil if the request has no body
	media        string       // the Content-Type of the answer
	answer       reflect.Type // of the JSON in the answer: one value, or one a line if media is mediaLines
	handle       handler
}

// A parameter is one key of the query in the URL.
type parameter struct {
	name, meaning string
	repeatable    bool
}

// A handler is an http.HandlerFunc of a Server.
type handler func(*Server, http.ResponseWriter, *http.Request)

const (
	mediaJSON    = "application/json"
	mediaLines   = "application/x-ndjson"
	mediaProblem = "application/problem+json"
)

// routes are all operations.
var routes = []route{
	get(pathStatus, "The state of the fabric.", (*Server).status),
	get(pathPorts, "The current ports, sorted by network and name.", (*Server).ports),
	get(pathViolations, "The guests that used a MAC or an address that is not their own, sorted by network, port and reason.",
		(*Server).violations, violationParameters()...),
	{
		method: http.MethodPost, path: pathClear,
		summary: "Remove the records of violations that match. A violation that continues is then a new one.",
		query:   violationParameters(),
		media:   mediaJSON, answer: reflect.TypeFor[Cleared](), handle: withQuerySlot((*Server).clearViolations),
	},
	get(pathBindings,
		"The bindings of an address, one for each network; the bindings of a MAC or with a name, at most 1000; or the "+
			"bindings whose first address, as text, begins with a string, at most 100. Give exactly one of the parameters.",
		(*Server).bindings,
		parameter{name: "address", meaning: "an IPv4 address"},
		parameter{name: "mac", meaning: "a MAC"},
		parameter{name: "name", meaning: "the name of a host"},
		parameter{name: "beginning", meaning: "the beginning of an IPv4 address as text, \"10.239.\"; may be empty"}),
	{
		method: http.MethodPost, path: pathExplain,
		summary: "The verdict on a frame that comes in by a port, and the reasons for it.",
		body:    reflect.TypeFor[explain.Question](),
		media:   mediaJSON, answer: reflect.TypeFor[explain.Explanation](), handle: (*Server).explain,
	},
	{
		method: http.MethodGet, path: pathEvents,
		summary: "Verdicts as the fabric makes them, one a line, until the client disconnects. An empty line is a keep-alive. " +
			"All clients together get 2500 a second. Events beyond this limit, and events that a client reads too slowly, " +
			"are lost and counted.",
		query: append(filterParameters("events"), lastParameter),
		media: mediaLines, answer: reflect.TypeFor[Event](), handle: (*Server).events,
	},
	{
		method: http.MethodPost, path: pathReload,
		summary: "Read the configuration again, and return the configuration that is then in force. After an error (422) the " +
			"previous configuration is in force.",
		media: mediaJSON, answer: reflect.TypeFor[Configuration](), handle: (*Server).reload,
	},
	{
		method: http.MethodGet, path: pathOpenAPI,
		summary: "This description.",
		media:   mediaJSON, answer: reflect.TypeFor[json.RawMessage](), handle: (*Server).openAPI,
	},
	get(pathNetworkBindings, "A page of a network's bindings, sorted by address, those of the configuration and of the store.",
		(*Server).networkBindings,
		parameter{name: "source", meaning: "config, store, or a kind of sources, such as dnsmasq_leases: only bindings from there"},
		parameter{name: "mac", meaning: "only bindings of this MAC"},
		parameter{name: "name", meaning: "only bindings with this name"},
		parameter{name: "after", meaning: "only bindings that begin behind this address"}, limitParameter),
	{
		method: http.MethodPost, path: pathNetworkBindings, id: "allocate",
		summary: "Allocate an address: the one that is asked for, or the next free one. The answer comes when the allocation is " +
			"on disk and in force.",
		body:  reflect.TypeFor[NewAllocation](),
		media: mediaJSON, answer: reflect.TypeFor[NetworkBinding](), handle: (*Server).allocate,
	},
	{
		method: http.MethodGet, path: pathNetworkBinding, id: "binding",
		summary: "The binding that has an address. An allocation's ETag is its revision.",
		media:   mediaJSON, answer: reflect.TypeFor[NetworkBinding](), handle: (*Server).networkBinding,
	},
	{
		method: http.MethodPut, path: pathNetworkBinding, id: "put",
		summary: "Allocate this address, or change its allocation. Repeated, it changes nothing, except that a ttl begins again.",
		headers: []parameter{ifMatch, {name: "If-None-Match", meaning: "*: only if the address is not allocated"}},
		body:    reflect.TypeFor[AllocationSettings](),
		media:   mediaJSON, answer: reflect.TypeFor[NetworkBinding](), handle: (*Server).putBinding,
	},
	{
		method: http.MethodDelete, path: pathNetworkBinding, id: "free",
		summary: "Free an address, and return the allocation that it had. Its guest is cut off when the answer comes.",
		headers: []parameter{ifMatch},
		media:   mediaJSON, answer: reflect.TypeFor[NetworkBinding](), handle: (*Server).freeBinding,
	},
	get(pathFree, "The addresses that an allocation without an address may get.", (*Server).freeRanges, limitParameter),
	get(pathAddresses, "The states of a network's addresses, in blocks of 256: free, allocated, active or violated.",
		(*Server).addressMap,
		parameter{name: "after", meaning: "only blocks that begin behind this address"}, limitParameter),
	get(pathHistory, "The last changes of allocations, the oldest first.", (*Server).history,
		parameter{name: "network", meaning: "only changes of this network"},
		parameter{name: "before", meaning: "only changes with a lower revision"}, limitParameter),
}

var (
	lastParameter  = parameter{name: keyLast, meaning: "begin with as many of the last events before, 0 to 100; 0 if it is absent"}
	limitParameter = parameter{name: "limit", meaning: "the most entries of the answer, 1 to 1000; 1000 if it is absent"}
	ifMatch        = parameter{name: "If-Match", meaning: "the ETag that the allocation must still have"}
)

// find returns the one of the routes that a request has, and sets the values in its path. If the path is known, but not with this method,
// it returns no route, and the methods. If the path is unknown, it returns no methods.
func find(routes []route, r *http.Request) (found route, methods []string) {
	for _, to := range routes {
		if !to.matches(r) {
			continue
		}
		if methods = append(methods, to.method); to.method == r.Method {
			found = to
		}
	}
	return found, methods
}

// isReadOnly reports whether the operation changes nothing.
func (to route) isReadOnly() bool { return to.method == http.MethodGet || to.path == pathExplain }

// checkParameters returns the problem of a query with a parameter that the route does not have, or nil.
func (to route) checkParameters(query url.Values) *Problem {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.ContainsFunc(to.query, func(p parameter) bool { return p.name == name }) {
			return problem(http.StatusBadRequest, "unknown parameter %q; %s lists those of each path", name, pathOpenAPI)
		}
	}
	return nil
}

// matches reports whether a request has the route's path, and sets the values in it.
func (to route) matches(r *http.Request) bool {
	got, want := strings.Split(r.URL.Path, "/"), strings.Split(to.path, "/")
	if len(got) != len(want) {
		return false
	}
	for i, part := range want {
		name, isValue := strings.CutPrefix(part, "{")
		if isValue && got[i] != "" {
			r.SetPathValue(strings.TrimSuffix(name, "}"), got[i])
		} else if part != got[i] {
			return false
		}
	}
	return true
}

// get makes a route for a GET request that one call of the fabric answers.
func get[T any](path, summary string, query func(*Server, *http.Request) (T, *Problem), parameters ...parameter) route {
	return route{
		method: http.MethodGet, path: path, summary: summary, query: parameters,
		media: mediaJSON, answer: reflect.TypeFor[T](), handle: withQuerySlot(query),
	}
}

func filterParameters(of string) []parameter {
	var all []parameter
	for _, key := range event.FilterKeys {
		all = append(all, parameter{key, "only " + of + " with this " + key + "; if repeated, with one of these", true})
	}
	return all
}

// keyLast is the key for the number of events before a client began to watch.
const keyLast = "last"

// keySince is the key of the filter of violations that events have not.
const keySince = "since"

func violationParameters() []parameter {
	since := parameter{name: keySince, meaning: "only violations that were seen since this time (RFC 3339)"}
	return append(filterParameters("violations"), since)
}
