package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/responder"
	"golang.org/x/net/netutil"
)

// limits are what a server grants its clients, however many and hostile they are.
type limits struct {
	connections int
	listeners   int // of events
	header      int // bytes of a request but for its body
	body        int // bytes of it, where there is one: a frame in hexadecimal, and something beside it
	small       int // bytes of an answer that any client may leave unread, and
	large       int // how many clients may be at reading a larger one

	requestTimeout time.Duration // to send a request
	idleTimeout    time.Duration // to the next request
	reloadTimeout  time.Duration
	patience       time.Duration // to read what was sent

	maxValues int // of a filter, as each is compared with each frame
}

var usual = limits{
	connections: 128, listeners: 16, header: 16 << 10, body: 136 << 10, small: 64 << 10, large: 16,
	requestTimeout: 5 * time.Second, idleTimeout: 30 * time.Second,
	reloadTimeout: time.Minute, patience: 5 * time.Second,
	maxValues: 64,
}

// Serve answers what is asked about f on l until ctx ends, and returns nil then.
func Serve(ctx context.Context, l net.Listener, f Fabric, log *slog.Logger) error {
	return newServer(f, usual).serve(ctx, l, log)
}

type server struct {
	fabric    Fabric
	limits    limits
	listeners chan struct{} // one for each that there is room for
	large     chan struct{} // one for each large answer that is being read

	// turn is held by the one who asks the fabric: it takes a while to read what the kernel has counted on many ports,
	// and to look for a MAC among a million bindings, and guests need the processors, too.
	turn    chan struct{}
	looking chan struct{} // held by the listener that looks for events
}

func newServer(f Fabric, l limits) *server {
	return &server{
		fabric: f, limits: l, listeners: make(chan struct{}, l.listeners), large: make(chan struct{}, l.large),
		turn: make(chan struct{}, 1), looking: make(chan struct{}, 1),
	}
}

func (s *server) serve(ctx context.Context, l net.Listener, log *slog.Logger) error {
	web := http.Server{
		Handler:        s,
		BaseContext:    func(net.Listener) context.Context { return ctx },
		ReadTimeout:    s.limits.requestTimeout,
		WriteTimeout:   s.limits.reloadTimeout + s.limits.patience, // until a handler sets its own
		IdleTimeout:    s.limits.idleTimeout,
		MaxHeaderBytes: s.limits.header,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { web.Close() })
	defer stop()
	if err := web.Serve(netutil.LimitListener(l, s.limits.connections)); ctx.Err() == nil {
		return fmt.Errorf("serving the API on %s: %w", l.Addr(), err)
	}
	return nil
}

// ServeHTTP finds the route.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var to route
	if i := slices.IndexFunc(routes, func(to route) bool { return to.path == r.URL.Path }); i >= 0 {
		to = routes[i]
	}
	switch {
	case r.ContentLength != 0 && to.body == nil:
		w.Header().Set("Connection", "close") // rather than read the body
		s.refuse(w, problem(http.StatusRequestEntityTooLarge, "a request has no body here"))
	case to.handle == nil:
		s.refuse(w, problem(http.StatusNotFound, "there is no %s here; docs/openapi.json says what there is", r.URL.Path))
	case to.method != r.Method:
		w.Header().Set("Allow", to.method)
		s.refuse(w, problem(http.StatusMethodNotAllowed, "%s wants %s, not %s", to.path, to.method, r.Method))
	default:
		to.handle(s, w, r)
	}
}

// inTurn makes a handler of a question to the fabric.
func inTurn[T any](ask func(*server, *http.Request) (T, *Problem)) handler {
	return func(s *server, w http.ResponseWriter, r *http.Request) {
		select {
		case s.turn <- struct{}{}:
		case <-r.Context().Done():
			return // nobody waits for the answer
		}
		v, p := ask(s, r)
		data := encode(v)
		<-s.turn
		if p != nil {
			s.refuse(w, p)
			return
		}
		s.answer(w, data)
	}
}

func encode(v any) []byte {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		panic(err) // of our own types
	}
	return b.Bytes()
}

// answer sends an answer, unless it is a large one and too many others are slow to read theirs.
func (s *server) answer(w http.ResponseWriter, data []byte) {
	if len(data) > s.limits.small {
		select {
		case s.large <- struct{}{}:
			defer func() { <-s.large }()
		default:
			s.refuse(w, problem(http.StatusServiceUnavailable,
				"too many clients are slow to read what they asked for; try again"))
			return
		}
	}
	s.send(w, http.StatusOK, mediaJSON, data)
}

// send gives a client some time to read what it is sent. Who has gone does not need it.
func (s *server) send(w http.ResponseWriter, status int, media string, data []byte) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.limits.patience))
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	w.Write(data)
}

// problem says why a request is refused.
func problem(status int, format string, args ...any) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// refuse answers with a problem document.
func (s *server) refuse(w http.ResponseWriter, p *Problem) {
	s.send(w, p.Status, mediaProblem, encode(p))
}

func (s *server) status(*http.Request) (Status, *Problem) { return s.fabric.Status(), nil }

func (s *server) ports(*http.Request) ([]Port, *Problem) { return s.fabric.Ports(), nil }

func (s *server) violations(*http.Request) ([]Violation, *Problem) { return s.fabric.Violations(), nil }

// bindings looks for ?address=, ?mac= or ?beginning=.
func (s *server) bindings(r *http.Request) ([]Binding, *Problem) {
	query := r.URL.Query()
	address, mac := query.Get("address"), query.Get("mac")
	switch {
	case len(query) != 1:
	case query.Has("beginning"):
		return s.fabric.LookupBeginning(query.Get("beginning")), nil
	case address != "":
		addr, err := netip.ParseAddr(address)
		if err != nil || !addr.Is4() {
			return nil, problem(http.StatusBadRequest, "%q is not an IPv4 address", address)
		}
		return s.fabric.LookupAddress(addr), nil
	case mac != "":
		hardware, err := net.ParseMAC(mac)
		if err != nil || len(hardware) != len(responder.MAC{}) {
			return nil, problem(http.StatusBadRequest, "%q is not a MAC", mac)
		}
		return s.fabric.LookupMAC(responder.MAC(hardware)), nil
	}
	return nil, problem(http.StatusBadRequest, "ask for one of ?address=, ?mac= and ?beginning=")
}

// explain reads the question before it has the turn: that may take a while.
func (s *server) explain(w http.ResponseWriter, r *http.Request) {
	q, p := s.question(w, r)
	if p != nil {
		s.refuse(w, p)
		return
	}
	inTurn(func(s *server, _ *http.Request) (explain.Explanation, *Problem) {
		e, err := s.fabric.Explain(q)
		if err != nil {
			return e, problem(http.StatusBadRequest, "%s", err)
		}
		return e, nil
	})(s, w, r)
}

// question reads the body of a request.
func (s *server) question(w http.ResponseWriter, r *http.Request) (q explain.Question, p *Problem) {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, int64(s.limits.body)))
	body.DisallowUnknownFields()
	err := body.Decode(&q)
	_, isTooLong := errors.AsType[*http.MaxBytesError](err)
	switch {
	case isTooLong:
		return q, problem(http.StatusRequestEntityTooLarge, "a question can't have more than %d bytes", s.limits.body)
	case err != nil:
		return q, problem(http.StatusBadRequest, "the body is no question as docs/openapi.json describes it: %s", err)
	case (q.Line == "") == (q.Hex == ""):
		return q, problem(http.StatusBadRequest, "ask for one of words and frame")
	}
	return q, nil
}

// reload answers with the configuration that is in force then. Meanwhile others may ask.
func (s *server) reload(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), s.limits.reloadTimeout)
	defer cancel()
	err := s.fabric.Reload(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		s.refuse(w, problem(http.StatusGatewayTimeout,
			"the configuration is not in force after %v; the log says what becomes of it", s.limits.reloadTimeout))
	case err != nil:
		s.refuse(w, problem(http.StatusUnprocessableEntity, "%s", err))
	default:
		inTurn((*server).configuration)(s, w, r)
	}
}

func (s *server) configuration(*http.Request) (Configuration, *Problem) {
	return s.fabric.Status().Configuration, nil
}

// filter reads ?network=, ?port=, ?address=, ?reason= and ?action=, each as often as wanted.
func (s *server) filter(r *http.Request) (event.Filter, *Problem) {
	query := r.URL.Query()
	values := 0
	for _, some := range query {
		values += len(some)
	}
	if values > s.limits.maxValues {
		return event.Filter{}, problem(http.StatusBadRequest,
			"a filter can't have more than %d values; this one has %d", s.limits.maxValues, values)
	}
	f, err := event.ParseFilter(query)
	if err != nil {
		return f, problem(http.StatusBadRequest, "%s", err)
	}
	return f, nil
}
