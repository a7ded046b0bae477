package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/docs"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/responder/registry"
	"golang.org/x/net/netutil"
)

// limits bound the memory, processor time and connections that clients can use, even hostile ones.
type limits struct {
	connections  int // at once; more clients wait
	listeners    int // clients that stream events at once; more clients get 503
	header       int // bytes of the request line and the headers
	body         int // bytes of the body of a question: the largest frame in hexadecimal, and its other fields
	smallAnswer  int // bytes; a longer answer is a large one
	largeAnswers int // large answers in memory at once; more requests get 503

	requestTimeout time.Duration // for the client to send a request
	idleTimeout    time.Duration // for the client to send its next request
	reloadTimeout  time.Duration // for the fabric to reload
	writeTimeout   time.Duration // for the client to read an answer, or a batch of events

	filterValues int // of one filter: each is compared with each frame
}

var defaultLimits = limits{
	connections: 128, listeners: 16, header: 16 << 10, body: 136 << 10, smallAnswer: 64 << 10, largeAnswers: 16,
	requestTimeout: 5 * time.Second, idleTimeout: 30 * time.Second,
	reloadTimeout: time.Minute, writeTimeout: 5 * time.Second,
	filterValues: 64,
}

// A Server answers requests to the API of a fabric.
type Server struct {
	fabric  Fabric
	limits  limits
	writers *writers
	routes  []route

	// Semaphores: a goroutine holds a slot by a value in the channel.
	listenerSlots chan struct{}
	largeAnswers  chan struct{}

	// querySlot makes clients query the fabric one at a time. Reading the kernel's counters of many ports, or searching a
	// million bindings for a MAC, takes a while, and must not take the processors from the answers to guests.
	querySlot chan struct{}
	eventSlot chan struct{} // held by the listener that takes events, for eventInterval
}

// NewServer returns a Server for f.
func NewServer(f Fabric) *Server { return newServer(f, defaultLimits) }

func newServer(f Fabric, l limits) *Server {
	return &Server{
		fabric: f, limits: l, writers: newWriters(), routes: routes,
		listenerSlots: make(chan struct{}, l.listeners), largeAnswers: make(chan struct{}, l.largeAnswers),
		querySlot: make(chan struct{}, 1), eventSlot: make(chan struct{}, 1),
	}
}

// Serve serves the API on l, a unix socket, until ctx ends, and returns nil then. It closes l. Besides root and this
// process's user, the group of the given name may change allocations; "" is for none.
func (s *Server) Serve(ctx context.Context, l net.Listener, writers string, log *slog.Logger) error {
	if err := s.admitGroup(writers); err != nil {
		l.Close()
		return err
	}
	return s.serve(ctx, l, log)
}

// ReadOnly returns a handler for the requests that change nothing, for the same fabric. Its clients and those of s share
// the slots that keep processors free for the answers to guests, and keep each other out of nothing else.
func (s *Server) ReadOnly() http.Handler {
	reader := newServer(s.fabric, s.limits)
	reader.querySlot, reader.eventSlot = s.querySlot, s.eventSlot
	reader.routes = slices.DeleteFunc(slices.Clone(routes), func(to route) bool { return !to.isReadOnly() })
	return reader
}

func (s *Server) serve(ctx context.Context, l net.Listener, log *slog.Logger) error {
	web := http.Server{
		Handler:     s,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: withPeer,
		ReadTimeout: s.limits.requestTimeout,
		// From the end of the request's headers, so it includes a reload; send sets the deadline of the answer itself.
		WriteTimeout:   s.limits.reloadTimeout + s.limits.writeTimeout,
		IdleTimeout:    s.limits.idleTimeout,
		MaxHeaderBytes: s.limits.header,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { web.Close() })
	defer stop()
	if err := web.Serve(netutil.LimitListener(peerListener{l}, s.limits.connections)); ctx.Err() == nil {
		return fmt.Errorf("serving the API on %s: %w", l.Addr(), err)
	}
	return nil
}

// ServeHTTP calls the handler of the route. It rejects parameters and a body that the route does not take.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, methods := find(s.routes, r)
	hasUnwantedBody := r.ContentLength != 0 && to.body == nil
	if hasUnwantedBody {
		w.Header().Set("Connection", "close") // net/http would read the rest of the body for the next request
	}
	switch {
	case len(methods) == 0:
		s.sendProblem(w, problem(http.StatusNotFound, "unknown path %s; %s lists the paths", r.URL.Path, pathOpenAPI))
	case to.handle == nil:
		all := strings.Join(methods, ", ")
		w.Header().Set("Allow", all)
		s.sendProblem(w, problem(http.StatusMethodNotAllowed, "%s takes %s, not %s", r.URL.Path, all, r.Method))
	case hasUnwantedBody:
		s.sendProblem(w, problem(http.StatusRequestEntityTooLarge, "this request takes no body"))
	default:
		if p := to.checkParameters(r.URL.Query()); p != nil {
			s.sendProblem(w, p)
			return
		}
		to.handle(s, w, r)
	}
}

// withQuerySlot makes a handler that runs query while it holds the query slot.
func withQuerySlot[T any](query func(*Server, *http.Request) (T, *Problem)) handler {
	return func(s *Server, w http.ResponseWriter, r *http.Request) {
		select {
		case s.querySlot <- struct{}{}:
		case <-r.Context().Done():
			return // the client has disconnected
		}
		v, p := query(s, r)
		data := encode(v)
		// Release the slot before the write: the client may read its answer slowly.
		<-s.querySlot
		if p != nil {
			s.sendProblem(w, p)
			return
		}
		s.sendAnswer(w, data)
	}
}

func encode(v any) []byte {
	var b bytes.Buffer
	if err := newEncoder(&b).Encode(v); err != nil {
		panic(err) // a type of this package that JSON cannot hold
	}
	return b.Bytes()
}

// newEncoder returns an encoder that keeps the > of a frame, and does not write \u003e: no answer becomes part of a page.
func newEncoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

// sendAnswer sends an answer. A large answer needs a slot, so that slow clients cannot fill the memory with answers.
func (s *Server) sendAnswer(w http.ResponseWriter, data []byte) {
	if len(data) > s.limits.smallAnswer {
		select {
		case s.largeAnswers <- struct{}{}:
			defer func() { <-s.largeAnswers }()
		default:
			s.sendProblem(w, problem(http.StatusServiceUnavailable,
				"too many clients are still reading large answers; try again"))
			return
		}
	}
	s.send(w, http.StatusOK, mediaJSON, data)
}

// send sends a response, and gives the client writeTimeout to read it. An error means that the client has disconnected,
// and needs no response.
func (s *Server) send(w http.ResponseWriter, status int, media string, data []byte) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.limits.writeTimeout))
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	w.Write(data)
}

// problem makes the document of an error. The detail tells the user the cause and the remedy.
func problem(status int, format string, args ...any) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// sendProblem answers with a problem document (RFC 9457).
func (s *Server) sendProblem(w http.ResponseWriter, p *Problem) {
	s.send(w, p.Status, mediaProblem, encode(p))
}

func (s *Server) status(*http.Request) (Status, *Problem) { return s.fabric.Status(), nil }

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) { s.sendAnswer(w, docs.OpenAPI) }

func (s *Server) ports(*http.Request) ([]Port, *Problem) { return s.fabric.Ports(), nil }

func (s *Server) violations(r *http.Request) ([]Violation, *Problem) {
	f, p := s.violationFilter(r)
	if p != nil {
		return nil, p
	}
	return s.fabric.Violations(f), nil
}

func (s *Server) clearViolations(r *http.Request) (Cleared, *Problem) {
	if _, p := s.writers.admit(r); p != nil {
		return Cleared{}, p
	}
	f, p := s.violationFilter(r)
	if p != nil {
		return Cleared{}, p
	}
	return Cleared{s.fabric.ClearViolations(f)}, nil
}

// bindings looks up ?address=, ?mac=, ?name= or ?beginning=.
func (s *Server) bindings(r *http.Request) ([]Binding, *Problem) {
	query := r.URL.Query()
	address, mac, name := query.Get("address"), query.Get("mac"), query.Get("name")
	switch {
	case len(query) != 1:
	case name != "":
		return s.fabric.LookupName(name), nil
	case query.Has("beginning"):
		return s.fabric.LookupTextPrefix(query.Get("beginning")), nil
	case address != "":
		addr, err := netip.ParseAddr(address)
		if err != nil || !addr.Is4() {
			return nil, problem(http.StatusBadRequest, "%q is not an IPv4 address", address)
		}
		return s.fabric.LookupAddress(addr), nil
	case mac != "":
		hardware, err := net.ParseMAC(mac)
		if err != nil || len(hardware) != len(registry.MAC{}) {
			return nil, problem(http.StatusBadRequest, "%q is not a MAC", mac)
		}
		return s.fabric.LookupMAC(registry.MAC(hardware)), nil
	}
	return nil, problem(http.StatusBadRequest, "give exactly one of ?address=, ?mac=, ?name= and ?beginning=")
}

// explain reads the body before it takes the query slot: a client may send its body slowly.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	q, p := s.question(w, r)
	if p != nil {
		s.sendProblem(w, p)
		return
	}
	withQuerySlot(func(s *Server, _ *http.Request) (explain.Explanation, *Problem) {
		e, err := s.fabric.Explain(q)
		if err != nil {
			return e, problem(http.StatusBadRequest, "%s", err)
		}
		return e, nil
	})(s, w, r)
}

// question decodes the body of a request for an explanation.
func (s *Server) question(w http.ResponseWriter, r *http.Request) (q explain.Question, p *Problem) {
	if p := s.decode(w, r, &q); p != nil {
		return q, p
	}
	if (q.Line == "") == (q.Hex == "") {
		return q, problem(http.StatusBadRequest, "give exactly one of words and frame")
	}
	return q, nil
}

// decode decodes the body of a request.
func (s *Server) decode(w http.ResponseWriter, r *http.Request, into any) *Problem {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, int64(s.limits.body)))
	body.DisallowUnknownFields()
	err := body.Decode(into)
	if err == nil {
		err = expectEnd(body)
	}
	_, isTooLong := errors.AsType[*http.MaxBytesError](err)
	switch {
	case isTooLong:
		return problem(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", s.limits.body)
	case err != nil:
		return problem(http.StatusBadRequest, "the body does not match %s: %s", pathOpenAPI, mistakeIn(err))
	}
	return nil
}

// errMore is the error of a body with more than one JSON value.
var errMore = errors.New("it has something after its first JSON value")

func expectEnd(body *json.Decoder) error {
	switch _, err := body.Token(); {
	case err == nil:
		return errMore
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// mistakeIn says what is wrong with a body that could not be decoded.
func mistakeIn(err error) string {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		want := "another type"
		switch wrong.Type.Kind() {
		case reflect.String:
			want = "a string"
		case reflect.Struct:
			want = "an object"
		}
		if wrong.Field == "" {
			return fmt.Sprintf("it is of the type %s; want %s", wrong.Value, want)
		}
		return fmt.Sprintf("%s is of the type %s; want %s", wrong.Field, wrong.Value, want)
	}
	if errors.Is(err, io.EOF) {
		return "it is empty; want a JSON object"
	}
	if errors.Is(err, errMore) {
		return err.Error()
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return "unknown field " + field
	}
	if _, ok := errors.AsType[*time.ParseError](err); ok {
		return "expires is not a time, such as 2026-12-24T18:00:00Z"
	}
	return "it is not valid JSON"
}

// reload reloads and answers with the configuration that is then in force. It takes the query slot only for the answer,
// so that other clients can query the fabric during the reload.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), s.limits.reloadTimeout)
	defer cancel()
	err := s.fabric.Reload(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		s.sendProblem(w, problem(http.StatusGatewayTimeout,
			"the configuration is not in force after %v; see the log of arpfabric for the result", s.limits.reloadTimeout))
	case err != nil:
		s.sendProblem(w, problem(http.StatusUnprocessableEntity, "%s", err))
	default:
		withQuerySlot((*Server).configuration)(s, w, r)
	}
}

func (s *Server) configuration(*http.Request) (Configuration, *Problem) {
	return s.fabric.Status().Configuration, nil
}

// filter parses ?network=, ?port=, ?address=, ?reason= and ?action=, which may all be repeated.
func (s *Server) filter(query url.Values) (event.Filter, *Problem) {
	values := 0
	for _, list := range query {
		values += len(list)
	}
	if values > s.limits.filterValues {
		return event.Filter{}, problem(http.StatusBadRequest,
			"a filter takes at most %d values; this one has %d", s.limits.filterValues, values)
	}
	f, err := event.ParseFilter(query)
	if err != nil {
		return f, problem(http.StatusBadRequest, "%s", err)
	}
	return f, nil
}

// violationFilter parses the keys of filter, and ?since=.
func (s *Server) violationFilter(r *http.Request) (ViolationFilter, *Problem) {
	var since time.Time
	query := r.URL.Query()
	if query.Has(keySince) {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, query.Get(keySince)); err != nil {
			return ViolationFilter{}, problem(http.StatusBadRequest, "%q is not a time as in RFC 3339", query.Get(keySince))
		}
		query.Del(keySince)
	}
	f, p := s.filter(query)
	return ViolationFilter{f, since}, p
}
