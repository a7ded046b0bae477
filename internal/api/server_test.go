package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/docs"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/google/go-cmp/cmp"
)

const (
	dbJSON = `{"network":"lab","first":"10.239.0.102","last":"10.239.0.102","mac":"02:00:07:de:54:a8",` +
		`"name":"db","port":"vnet3","origin":"lab.yaml:8"}`
	configurationJSON = `{"files":["lab.yaml"],"loaded":"2026-03-02T08:00:00Z","generation":2,"failures":1,` +
		`"last_error":"lab.yaml:3: networks: want a mapping","failed_at":"2026-03-02T12:00:00Z"}`
	statusJSON = `{"version":"v1.2.3","pid":42,"started":"2026-03-02T08:00:00Z","configuration":` + configurationJSON + `,` +
		`"networks":[{"name":"lab","mode":"vpc","attach":"bridge br0","guard":"full","bindings":3,"ports":2}],` +
		`"datapath":{"in_force":""},` +
		`"guard":{"reinstalled":1},"reasons":{"answered":7,"unknown-target":2},"refused":5,` +
		`"problems":["network lab: the uplink eth1 is not a member of br0"],` +
		`"violations":{"records":2,"forgotten":1},"losses":{"frames":1,"events":2,"strays":3}}`
	portsJSON = `[{"network":"lab","name":"br0","index":3,"kind":"host","mac":"02:00:00:de:54:a8","reasons":{},"refused":0},` +
		`{"network":"lab","name":"vnet3","index":9,"kind":"guest","mac":"fe:00:07:de:54:a8","reasons":{"answered":7},` +
		`"refused":5,"last_seen":"2026-03-02T12:00:00Z","macs":[{"mac":"02:00:07:de:54:a8","since":"2026-03-02T12:00:00Z",` +
		`"from":"arp","addresses":["10.239.0.102"],"name":"db"}]}]`
	explanationJSON = `{"network":"lab","summary":"lab: vpc on bridge br0, 3 bindings, guard full","port":"vnet3",` +
		`"frame":{"text":"ARP, Request who-has 10.239.0.1 tell 10.239.0.102, length 28","from":"","to":"","hex":"ffff"},` +
		`"action":"drop","reason":"unknown-target",` +
		`"rows":[{"reason":"unknown-target","fits":true,"compared":"10.239.0.1 has no binding"}],` +
		`"decided":[{"origin":"lab.yaml:3","text":"the registry of networks.lab has no such binding"}],` +
		`"change":["give 10.239.0.1 a binding"],"notes":[]}`
	violationsJSON = `[{"network":"lab","port":"vnet4","reason":"spoofed-sender","action":"drop","mac":"02:00:09:de:54:a8",` +
		`"address":"10.239.0.102","target":"10.239.0.101","owner":` + dbJSON + `,` +
		`"first":"2026-03-02T08:00:00Z","last":"2026-03-02T12:00:00Z","count":3},` +
		`{"network":"lab","port":"vnet4","reason":"invalid-sender-mac","action":"drop","mac":"01:00:5e:00:00:01",` +
		`"address":"","target":"","first":"2026-03-02T08:00:00Z","last":"2026-03-02T08:00:00Z","count":1}]`
)

// TestWhoMayClear checks that the callers who may clear violations are those who may change allocations.
func TestWhoMayClear(t *testing.T) {
	s := newServer(&fake{violations: []Violation{spoofed}}, defaultLimits)
	for uid, want := range map[uint32]int{0: http.StatusOK, 12345: http.StatusForbidden} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, asPeer(httptest.NewRequest("POST", pathClear, nil), uid))
		if w.Code != want {
			t.Errorf("user %d: status %d, want %d: %s", uid, w.Code, want, w.Body)
		}
	}
}

func reasons() string {
	var all []string
	for r := range responder.Reasons() {
		all = append(all, r.String())
	}
	return strings.Join(all, ", ")
}

// TestAnswers compares each answer byte by byte, and checks it against docs/openapi.json.
func TestAnswers(t *testing.T) {
	broken := func(context.Context) error { return errors.New("lab.yaml:3: networks: want a mapping\nlab.yaml:9: x") }
	tests := []struct {
		name          string
		method, query string
		reload        func(context.Context) error
		status        int
		media         string
		body          string
	}{
		{"status", "GET", "/v1/status", nil, 200, mediaJSON, statusJSON},
		{"ports", "GET", "/v1/ports", nil, 200, mediaJSON, portsJSON},
		{"violations", "GET", "/v1/violations", nil, 200, mediaJSON, violationsJSON},
		{"violations of a port", "GET", "/v1/violations?port=vnet5&since=2026-03-02T08:00:00Z", nil, 200, mediaJSON, "[]"},
		{"violations since nothing", "GET", "/v1/violations?since=yesterday", nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"\"yesterday\" is not a time as in RFC 3339"}`},
		{"violations of a colour", "GET", "/v1/violations?colour=red", nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"unknown parameter \"colour\"; /v1/openapi.json lists those of each path"}`},
		{"clear", "POST", "/v1/violations/clear?since=2026-03-02T10:00:00%2B01:00", nil, 200, mediaJSON, `{"records":1}`},
		{"an address", "GET", "/v1/bindings?address=10.239.0.102", nil, 200, mediaJSON, "[" + dbJSON + "]"},
		{"a MAC", "GET", "/v1/bindings?mac=02-00-07-DE-54-A8", nil, 200, mediaJSON, "[" + dbJSON + "]"},
		{"a name", "GET", "/v1/bindings?name=db", nil, 200, mediaJSON, "[" + dbJSON + "]"},
		{"an address without a binding", "GET", "/v1/bindings?address=10.239.0.77", nil, 200, mediaJSON, "[]"},
		{"a MAC without a binding", "GET", "/v1/bindings?mac=02:00:00:00:00:77", nil, 200, mediaJSON, "[]"},
		{"reload", "POST", "/v1/reload", nil, 200, mediaJSON, configurationJSON},

		{"the description", "GET", "/v1/openapi.json", nil, 200, mediaJSON, strings.TrimSuffix(string(docs.OpenAPI), "\n")},

		{"a reload that fails", "POST", "/v1/reload", broken, 422, mediaProblem,
			`{"title":"Unprocessable Entity","status":422,"detail":"lab.yaml:3: networks: want a mapping\nlab.yaml:9: x"}`},
		{"no address", "GET", "/v1/bindings?address=10.239.0", nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"\"10.239.0\" is not an IPv4 address"}`},
		{"an IPv6 address", "GET", "/v1/bindings?address=2001:db8::1", nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"\"2001:db8::1\" is not an IPv4 address"}`},
		{"no MAC", "GET", "/v1/bindings?mac=02:00:00", nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"\"02:00:00\" is not a MAC"}`},
		{"a MAC of eight bytes", "GET", "/v1/bindings?mac=02:00:00:00:00:00:00:01", nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"\"02:00:00:00:00:00:00:01\" is not a MAC"}`},
		{"neither", "GET", "/v1/bindings", nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"give exactly one of ?address=, ?mac=, ?name= and ?beginning="}`},
		{"both", "GET", "/v1/bindings?address=10.239.0.102&mac=02:00:07:de:54:a8", nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"give exactly one of ?address=, ?mac=, ?name= and ?beginning="}`},
		{"a filter with mistakes", "GET", "/v1/events?address=x&action=eat&reason=why", nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"unknown action \"eat\"; want drop, reply or pass\n` +
				`\"x\" is not an IPv4 address\nunknown reason \"why\"; want ` + reasons() + `"}`},
		{"a filter that is too long", "GET", "/v1/events?port=" + strings.Repeat("&port=vnet1", 64), nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"a filter takes at most 64 values; this one has 65"}`},
		{"too many earlier events", "GET", "/v1/events?last=101", nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"last is \"101\"; want a number from 0 to 100"}`},
		{"elsewhere", "GET", "/v2/status", nil, 404, mediaProblem,
			`{"title":"Not Found","status":404,"detail":"unknown path /v2/status; /v1/openapi.json lists the paths"}`},
		{"a path with more", "GET", "/v1/status/", nil, 404, mediaProblem,
			`{"title":"Not Found","status":404,"detail":"unknown path /v1/status/; /v1/openapi.json lists the paths"}`},
		{"an arrow, as in a frame", "GET", "/v2/a%3Eb", nil, 404, mediaProblem,
			`{"title":"Not Found","status":404,"detail":"unknown path /v2/a>b; /v1/openapi.json lists the paths"}`},
		{"another method", "DELETE", "/v1/status", nil, 405, mediaProblem,
			`{"title":"Method Not Allowed","status":405,"detail":"/v1/status takes GET, not DELETE"}`},
		{"a question by GET", "GET", "/v1/explanation?words=who-has", nil, 405, mediaProblem,
			`{"title":"Method Not Allowed","status":405,"detail":"/v1/explanation takes POST, not GET"}`},
		{"a reload by GET", "GET", "/v1/reload", nil, 405, mediaProblem,
			`{"title":"Method Not Allowed","status":405,"detail":"/v1/reload takes POST, not GET"}`},
	}
	doc := loadStrict(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{violations: []Violation{spoofed, nameless}, reload: tt.reload}
			r, w := asPeer(httptest.NewRequest(tt.method, tt.query, nil), 0), httptest.NewRecorder()
			newServer(f, defaultLimits).ServeHTTP(w, r)
			if w.Code != tt.status || w.Header().Get("Content-Type") != tt.media {
				t.Errorf("answered with %d, %s; want %d, %s", w.Code, w.Header().Get("Content-Type"), tt.status, tt.media)
			}
			if diff := cmp.Diff(tt.body+"\n", w.Body.String()); diff != "" {
				t.Errorf("answer (-want +got)\n%s", diff)
			}
			checkDescribed(t, doc, r, w)
		})
	}
}

// TestQuestions does the same for questions in the body of a request.
func TestQuestions(t *testing.T) {
	tests := []struct {
		name, asked string
		status      int
		body        string
	}{
		{"an explanation", `{"port":"vnet3","words":"who-has 10.239.0.1 tell 10.239.0.102"}`, 200, explanationJSON},
		{"a frame that is none", `{"frame":"f"}`, 400,
			`{"title":"Bad Request","status":400,"detail":"the frame ends in half a byte"}`},
		{"no frame", `{"port":"vnet3"}`, 400,
			`{"title":"Bad Request","status":400,"detail":"give exactly one of words and frame"}`},
		{"two frames", `{"words":"who-has","frame":"ff"}`, 400,
			`{"title":"Bad Request","status":400,"detail":"give exactly one of words and frame"}`},
		{"nothing", "", 400, `{"title":"Bad Request","status":400,` +
			`"detail":"the body does not match /v1/openapi.json: it is empty; want a JSON object"}`},
		{"something else", `{"line":"who-has"}`, 400, `{"title":"Bad Request","status":400,` +
			`"detail":"the body does not match /v1/openapi.json: unknown field \"line\""}`},
		{"too much", `{"frame":"` + strings.Repeat("f", defaultLimits.body) + `"}`, 413,
			`{"title":"Request Entity Too Large","status":413,"detail":"the body is longer than 139264 bytes"}`},
	}
	doc := loadStrict(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, w := httptest.NewRequest("POST", pathExplain, strings.NewReader(tt.asked)), httptest.NewRecorder()
			r.Header.Set("Content-Type", mediaJSON)
			newServer(&fake{}, defaultLimits).ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("answered with %d; want %d", w.Code, tt.status)
			}
			if diff := cmp.Diff(tt.body+"\n", w.Body.String()); diff != "" {
				t.Errorf("answer (-want +got)\n%s", diff)
			}
			r.Body = io.NopCloser(strings.NewReader(tt.asked)) // the server has read the first one
			checkDescribed(t, doc, r, w)
		})
	}
}

// TestAllow checks that the answer to a wrong method names the right one.
func TestAllow(t *testing.T) {
	for _, route := range routes {
		w := httptest.NewRecorder()
		newServer(&fake{}, defaultLimits).ServeHTTP(w, httptest.NewRequest("PATCH", route.path, nil))
		if got := w.Header().Get("Allow"); w.Code != http.StatusMethodNotAllowed || !slices.Contains(strings.Split(got, ", "), route.method) {
			t.Errorf("%s: %d, Allow: %q, want %q", route.path, w.Code, got, route.method)
		}
	}
}

// TestUnwanted checks what a request is refused for first: its path, its method, its body, and then its parameters.
func TestUnwanted(t *testing.T) {
	for _, tt := range []struct {
		method, target, body string
		status               int
	}{
		{"PATCH", pathStatus, "{}", http.StatusMethodNotAllowed},
		{"GET", "/v1/none", "{}", http.StatusNotFound},
		{"GET", pathStatus + "?x=1", "{}", http.StatusRequestEntityTooLarge},
		{"GET", pathStatus + "?x=1", "", http.StatusBadRequest},
		{"POST", pathReload + "?dry_run=1", "", http.StatusBadRequest},
		{"GET", "/v1/networks/lab/bindings?macs=1", "", http.StatusBadRequest},
		{"GET", pathHistory + "?network=lab&until=1", "", http.StatusBadRequest},
		{"POST", "/v1/networks/lab/bindings?dry_run=1", `{}`, http.StatusBadRequest},
		{"GET", pathStatus, "", http.StatusOK},
	} {
		w := httptest.NewRecorder()
		newServer(&fake{}, defaultLimits).ServeHTTP(w, httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body)))
		if w.Code != tt.status {
			t.Errorf("%s %s with %q: %d, %s; want %d", tt.method, tt.target, tt.body, w.Code, w.Body, tt.status)
		}
	}
}

func TestBody(t *testing.T) {
	r, w := httptest.NewRequest("POST", pathReload, strings.NewReader("now")), httptest.NewRecorder()
	newServer(&fake{}, defaultLimits).ServeHTTP(w, r)
	want := `{"title":"Request Entity Too Large","status":413,"detail":"this request takes no body"}` + "\n"
	if w.Code != http.StatusRequestEntityTooLarge || w.Body.String() != want {
		t.Errorf("answered with %d, %s", w.Code, w.Body)
	}
}

// dbRequest is the frame of a request for the address of db.
var dbRequest = lab.Request(net.HardwareAddr{2, 0, 6, 0xde, 0x54, 0xa8}, spoofed.Target, db.First).Frame()

// answered is the event of a request that was answered.
func answered() *event.Event {
	e := &event.Event{
		Time: noon, Network: "lab", Port: "vnet2",
		Verdict: responder.Verdict{Action: responder.Reply, Reason: responder.Answered, Len: 60},
	}
	e.SetFrame(dbRequest)
	return e
}

// TestEvents compares the lines of events byte by byte, and checks them against docs/openapi.json.
func TestEvents(t *testing.T) {
	openapi3filter.RegisterBodyDecoder(mediaLines, openapi3filter.JSONBodyDecoder)
	defer openapi3filter.UnregisterBodyDecoder(mediaLines)
	f := &fake{}
	for range 2 {
		f.Publish(answered())
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := httptest.NewRequest("GET", pathEvents+"?network=lab&last=1", nil).WithContext(ctx)
	w := httptest.NewRecorder()
	var lines []string
	waited := &watched{ResponseRecorder: w, flushed: func() {
		lines = strings.Split(w.Body.String(), "\n")
		switch len(lines) {
		case 2: // the event before: the fabric has the listener
			f.Publish(answered())
			e := answered()
			e.DryRun, e.Verdict = true, responder.Verdict{Action: responder.Drop, Reason: responder.SpoofedSender}
			f.Publish(e)
			for range eventCapacity {
				f.Publish(answered())
			}
		default:
			cancel()
		}
	}}
	newServer(f, defaultLimits).ServeHTTP(waited, r)
	const frame = `"words":"ARP, Request who-has 10.239.0.102 tell 10.239.0.101, length 28",` +
		`"frame":"////////AgAG3lSoCAYAAQgABgQAAQIABt5UqArvAGUAAAAAAAAK7wBm","length":42}`
	want := []string{
		`{"time":"2026-03-02T12:00:00Z","network":"lab","port":"vnet2","action":"reply","reason":"answered","earlier":true,` + frame,
		`{"time":"2026-03-02T12:00:00Z","network":"lab","port":"vnet2","action":"reply","reason":"answered",` + frame,
		`{"time":"2026-03-02T12:00:00Z","network":"lab","port":"vnet2","action":"drop","reason":"spoofed-sender",` +
			`"dry_run":true,` + frame,
	}
	if diff := cmp.Diff(want, lines[:3]); diff != "" {
		t.Errorf("events (-want +got)\n%s", diff)
	}
	if last := lines[len(lines)-2]; !strings.HasSuffix(last, `,"lost":2}`) {
		t.Errorf("the last line is %s, want a report of 2 lost events", last)
	}
	checkDescribed(t, loadStrict(t), r, w)
}

// watched calls a function after each part of an answer.
type watched struct {
	*httptest.ResponseRecorder
	flushed func()
}

func (w *watched) Flush() { w.flushed() }

// TestDisconnectedClient checks that the server does not query the fabric for a client that has disconnected while it
// waited for the query slot.
func TestDisconnectedClient(t *testing.T) {
	s := newServer(&fake{}, defaultLimits)
	s.querySlot <- struct{}{}
	ctx, gone := context.WithCancel(context.Background())
	gone()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", pathStatus, nil).WithContext(ctx))
	if w.Body.Len() > 0 {
		t.Errorf("answered %s", w.Body)
	}
}

// TestReloadTakesLong checks that the timeout of a request does not end a reload.
func TestReloadTakesLong(t *testing.T) {
	quick := defaultLimits
	quick.requestTimeout, quick.idleTimeout = 500*time.Millisecond, 500*time.Millisecond
	socket, _ := start(t, &fake{reload: func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * quick.requestTimeout):
			return nil
		}
	}}, quick)
	if _, err := NewClient(socket).Reload(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestReloadTakesTooLong checks the error after a reload that exceeds its timeout.
func TestReloadTakesTooLong(t *testing.T) {
	quick := defaultLimits
	quick.reloadTimeout = 10 * time.Millisecond
	socket, _ := start(t, &fake{reload: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}, quick)
	_, err := NewClient(socket).Reload(context.Background())
	want := Problem{
		Title: "Gateway Timeout", Status: 504,
		Detail: "the configuration is not in force after 10ms; see the log of arpfabric for the result",
	}
	if p, ok := errors.AsType[*Problem](err); !ok || *p != want {
		t.Errorf("got error %#v, want %#v", err, want)
	}
}

// TestReadOnly checks that a read-only handler has every operation that changes nothing, and no other.
func TestReadOnly(t *testing.T) {
	f := &fake{reload: func(context.Context) error { t.Error("reloaded"); return nil }}
	h := NewServer(f).ReadOnly()
	var changing []string
	for _, to := range routes {
		path := strings.NewReplacer("{network}", "lab", "{address}", db.First.String()).Replace(to.path)
		ctx, cancel := context.WithCancel(context.Background())
		w := &watched{httptest.NewRecorder(), cancel} // events end after their first line
		h.ServeHTTP(w, asPeer(httptest.NewRequest(to.method, path, nil).WithContext(ctx), 0))
		cancel()
		if w.Code == http.StatusNotFound || w.Code == http.StatusMethodNotAllowed {
			changing = append(changing, to.method+" "+to.path)
		}
	}
	want := []string{
		"POST " + pathClear, "POST " + pathReload,
		"POST " + pathNetworkBindings, "PUT " + pathNetworkBinding, "DELETE " + pathNetworkBinding,
	}
	if diff := cmp.Diff(want, changing); diff != "" {
		t.Errorf("refused (-want +got)\n%s", diff)
	}
}

// TestReadOnlySlots checks that the clients of a read-only handler wait for the same query slot, and cannot keep the
// others from events.
func TestReadOnlySlots(t *testing.T) {
	s := newServer(&fake{}, defaultLimits)
	h := s.ReadOnly()
	for range cap(s.listenerSlots) {
		s.listenerSlots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &watched{httptest.NewRecorder(), cancel}
	h.ServeHTTP(w, httptest.NewRequest("GET", pathEvents, nil).WithContext(ctx))
	if w.Code != http.StatusOK {
		t.Errorf("events: status %d, want %d", w.Code, http.StatusOK)
	}
	s.querySlot <- struct{}{}
	w = &watched{httptest.NewRecorder(), cancel}
	h.ServeHTTP(w, httptest.NewRequest("GET", pathStatus, nil).WithContext(ctx)) // gone: it can't wait for the slot
	if w.Body.Len() > 0 {
		t.Errorf("answered %s", w.Body)
	}
}
