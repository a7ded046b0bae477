package api

import (
	"net/http"
	"reflect"

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
)

// The paths.
const (
	pathStatus     = "/v1/status"
	pathPorts      = "/v1/ports"
	pathViolations = "/v1/violations"
	pathBindings   = "/v1/bindings"
	pathEvents     = "/v1/events"
	pathExplain    = "/v1/explanation"
	pathReload     = "/v1/reload"
)

// A route is something that can be asked or told. What the server does, and docs/openapi.json, are made of the routes.
type route struct {
	method, path string
	summary      string
	query        []parameter
	body         reflect.Type // what a request has in its body; nil for nothing
	media        string       // the Content-Type of what is answered
	answer       reflect.Type // what is answered: one, or one a line
	handle       handler
}

// A parameter is a key of a query.
type parameter struct {
	name, meaning string
	repeatable    bool
}

// A handler is an http.HandlerFunc of a server.
type handler func(*server, http.ResponseWriter, *http.Request)

const (
	mediaJSON    = "application/json"
	mediaLines   = "application/x-ndjson"
	mediaProblem = "application/problem+json"
)

// routes are all there are; each path has one method.
var routes = []route{
	get(pathStatus, "How the fabric is.", (*server).status),
	get(pathPorts, "The ports that there are now, by network and name.", (*server).ports),
	get(pathViolations, "Who used an identity that is not theirs, by network, port, and what they are.",
		(*server).violations),
	get(pathBindings,
		"The bindings for an address, one of each network, or of a MAC, at most 1000, or those whose first address begins "+
			"so, at most 100. One of the three is to be named.",
		(*server).bindings,
		parameter{name: "address", meaning: "an IPv4 address"},
		parameter{name: "mac", meaning: "a MAC"},
		parameter{name: "beginning", meaning: "the beginning of an IPv4 address as text, \"10.239.\"; may be empty"}),
	{
		method: http.MethodPost, path: pathExplain,
		summary: "What becomes of a frame that comes in by a port, and why.",
		body:    reflect.TypeFor[explain.Question](),
		media:   mediaJSON, answer: reflect.TypeFor[explain.Explanation](), handle: (*server).explain,
	},
	{
		method: http.MethodGet, path: pathEvents,
		summary: "Verdicts as they are made, one a line, until the listener goes. An empty line is a sign of life. " +
			"All listeners together get 2500 a second. What is beyond that, or read too slowly, is lost, and counted.",
		query: filterParameters(),
		media: mediaLines, answer: reflect.TypeFor[Event](), handle: (*server).events,
	},
	{
		method: http.MethodPost, path: pathReload,
		summary: "Read the configuration again, and answer with what is in force then. After an error (422) the one before " +
			"is in force.",
		media: mediaJSON, answer: reflect.TypeFor[Configuration](), handle: (*server).reload,
	},
}

// get makes the route of a question to the fabric.
func get[T any](path, summary string, ask func(*server, *http.Request) (T, *Problem), query ...parameter) route {
	return route{
		method: http.MethodGet, path: path, summary: summary, query: query,
		media: mediaJSON, answer: reflect.TypeFor[T](), handle: inTurn(ask),
	}
}

func filterParameters() []parameter {
	var all []parameter
	for _, key := range event.FilterKeys {
		all = append(all, parameter{key, "only events with this " + key + ", or one of these", true})
	}
	return all
}
