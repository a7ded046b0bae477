package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

const (
	dbJSON = `{"network":"lab","first":"10.239.0.102","last":"10.239.0.102","mac":"02:00:07:de:54:a8",` +
		`"name":"db","port":"vnet3","origin":"lab.yaml:8"}`
	configurationJSON = `{"files":["lab.yaml"],"loaded":"2026-03-02T08:00:00Z","generation":2,"failures":1,` +
		`"last_error":"lab.yaml:3: networks: want a mapping","failed_at":"2026-03-02T12:00:00Z"}`
	statusJSON = `{"version":"v1.2.3","pid":42,"started":"2026-03-02T08:00:00Z","configuration":` + configurationJSON + `,` +
		`"networks":[{"name":"lab","mode":"vpc","attach":"bridge br0","guard":"full","bindings":3,"ports":2}],` +
		`"guard":{"reinstalled":1},"reasons":{"answered":7,"unknown-target":2},"refused":5,` +
		`"violations":{"records":2,"forgotten":1},"losses":{"frames":1,"events":2,"strays":3}}`
	portsJSON = `[{"network":"lab","name":"br0","index":3,"kind":"host","mac":"02:00:00:de:54:a8","reasons":{},"refused":0},` +
		`{"network":"lab","name":"vnet3","index":9,"kind":"guest","mac":"fe:00:07:de:54:a8","reasons":{"answered":7},` +
		`"refused":5}]`
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

// TestAnswers holds each answer to the letter, and against docs/openapi.json.
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
		{"an address", "GET", "/v1/bindings?address=10.239.0.102", nil, 200, mediaJSON, "[" + dbJSON + "]"},
		{"a MAC", "GET", "/v1/bindings?mac=02-00-07-DE-54-A8", nil, 200, mediaJSON, "[" + dbJSON + "]"},
		{"nobody's address", "GET", "/v1/bindings?address=10.239.0.77", nil, 200, mediaJSON, "[]"},
		{"nobody's MAC", "GET", "/v1/bindings?mac=02:00:00:00:00:77", nil, 200, mediaJSON, "[]"},
		{"reload", "POST", "/v1/reload", nil, 200, mediaJSON, configurationJSON},

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
			`{"title":"Bad Request","status":400,"detail":"ask for one of ?address=, ?mac= and ?beginning="}`},
		{"both", "GET", "/v1/bindings?address=10.239.0.102&mac=02:00:07:de:54:a8", nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"ask for one of ?address=, ?mac= and ?beginning="}`},
		{"a filter with mistakes", "GET", "/v1/events?address=x&action=eat&reason=why&colour=red", nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"there is no action \"eat\": want drop, reply or pass\n` +
				`\"x\" is not an IPv4 address\nevents can't be filtered by \"colour\"\nthere is no reason \"why\""}`},
		{"a filter that is too long", "GET", "/v1/events?port=" + strings.Repeat("&port=vnet1", 64), nil, 400, mediaProblem,
			`{"title":"Bad Request","status":400,"detail":"a filter can't have more than 64 values; this one has 65"}`},
		{"elsewhere", "GET", "/v2/status", nil, 404, mediaProblem,
			`{"title":"Not Found","status":404,"detail":"there is no /v2/status here; docs/openapi.json says what there is"}`},
		{"a path with more", "GET", "/v1/status/", nil, 404, mediaProblem,
			`{"title":"Not Found","status":404,"detail":"there is no /v1/status/ here; docs/openapi.json says what there is"}`},
		{"another method", "DELETE", "/v1/status", nil, 405, mediaProblem,
			`{"title":"Method Not Allowed","status":405,"detail":"/v1/status wants GET, not DELETE"}`},
		{"a question by GET", "GET", "/v1/explanation?words=who-has", nil, 405, mediaProblem,
			`{"title":"Method Not Allowed","status":405,"detail":"/v1/explanation wants POST, not GET"}`},
		{"a reload by GET", "GET", "/v1/reload", nil, 405, mediaProblem,
			`{"title":"Method Not Allowed","status":405,"detail":"/v1/reload wants POST, not GET"}`},
	}
	doc := loadStrict(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{violations: []Violation{spoofed, nameless}, reload: tt.reload}
			r, w := httptest.NewRequest(tt.method, tt.query, nil), httptest.NewRecorder()
			newServer(f, usual).ServeHTTP(w, r)
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

// TestQuestions does the same of questions in the body of a request.
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
			`{"title":"Bad Request","status":400,"detail":"ask for one of words and frame"}`},
		{"two frames", `{"words":"who-has","frame":"ff"}`, 400,
			`{"title":"Bad Request","status":400,"detail":"ask for one of words and frame"}`},
		{"nothing", "", 400, `{"title":"Bad Request","status":400,` +
			`"detail":"the body is no question as docs/openapi.json describes it: EOF"}`},
		{"something else", `{"line":"who-has"}`, 400, `{"title":"Bad Request","status":400,` +
			`"detail":"the body is no question as docs/openapi.json describes it: json: unknown field \"line\""}`},
		{"too much", `{"frame":"` + strings.Repeat("f", usual.body) + `"}`, 413,
			`{"title":"Request Entity Too Large","status":413,"detail":"a question can't have more than 139264 bytes"}`},
	}
	doc := loadStrict(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, w := httptest.NewRequest("POST", pathExplain, strings.NewReader(tt.asked)), httptest.NewRecorder()
			r.Header.Set("Content-Type", mediaJSON)
			newServer(&fake{}, usual).ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("answered with %d; want %d", w.Code, tt.status)
			}
			if diff := cmp.Diff(tt.body+"\n", w.Body.String()); diff != "" {
				t.Errorf("answer (-want +got)\n%s", diff)
			}
			r.Body = io.NopCloser(strings.NewReader(tt.asked)) // it has been read
			checkDescribed(t, doc, r, w)
		})
	}
}

// TestAllow holds that who uses the wrong method is told the right one.
func TestAllow(t *testing.T) {
	for _, route := range routes {
		w := httptest.NewRecorder()
		newServer(&fake{}, usual).ServeHTTP(w, httptest.NewRequest("PATCH", route.path, nil))
		if got := w.Header().Get("Allow"); w.Code != http.StatusMethodNotAllowed || got != route.method {
			t.Errorf("%s: %d, Allow: %q, want %q", route.path, w.Code, got, route.method)
		}
	}
}

func TestBody(t *testing.T) {
	r, w := httptest.NewRequest("POST", pathReload, strings.NewReader("now")), httptest.NewRecorder()
	newServer(&fake{}, usual).ServeHTTP(w, r)
	want := `{"title":"Request Entity Too Large","status":413,"detail":"a request has no body here"}` + "\n"
	if w.Code != http.StatusRequestEntityTooLarge || w.Body.String() != want {
		t.Errorf("answered with %d, %s", w.Code, w.Body)
	}
}

// dbRequest is the frame of a request for the address of db.
var dbRequest = lab.ARP{
	Destination: ethernet.Broadcast, Source: []byte{2, 0, 6, 0xde, 0x54, 0xa8}, Operation: arp.OperationRequest,
	SenderHardwareAddr: []byte{2, 0, 6, 0xde, 0x54, 0xa8}, SenderIP: spoofed.Target,
	TargetHardwareAddr: make([]byte, 6), TargetIP: db.First,
}.Frame()

// answered is the event of a request that was answered.
func answered() *event.Event {
	e := &event.Event{
		Time: noon, Network: "lab", Port: "vnet2",
		Verdict: responder.Verdict{Action: responder.Reply, Reason: responder.Answered, Len: 60},
	}
	e.SetFrame(dbRequest)
	return e
}

// TestEvents holds the lines of events to the letter, and against docs/openapi.json.
func TestEvents(t *testing.T) {
	openapi3filter.RegisterBodyDecoder(mediaLines, openapi3filter.JSONBodyDecoder)
	defer openapi3filter.UnregisterBodyDecoder(mediaLines)
	f := &fake{}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := httptest.NewRequest("GET", pathEvents+"?network=lab", nil).WithContext(ctx)
	w := httptest.NewRecorder()
	var lines []string
	waited := &watched{ResponseRecorder: w, flushed: func() {
		lines = strings.Split(w.Body.String(), "\n")
		switch len(lines) {
		case 2: // the sign that listening has begun
			f.Publish(answered())
			e := answered()
			e.DryRun, e.Verdict = true, responder.Verdict{Action: responder.Drop, Reason: responder.SpoofedSender}
			f.Publish(e)
			for range eventRoom {
				f.Publish(answered())
			}
		default:
			cancel()
		}
	}}
	newServer(f, usual).ServeHTTP(waited, r)
	const frame = `"words":"ARP, Request who-has 10.239.0.102 tell 10.239.0.101, length 28",` +
		`"frame":"////////AgAG3lSoCAYAAQgABgQAAQIABt5UqArvAGUAAAAAAAAK7wBm","length":42}`
	want := []string{
		`{"time":"2026-03-02T12:00:00Z","network":"lab","port":"vnet2","action":"reply","reason":"answered",` + frame,
		`{"time":"2026-03-02T12:00:00Z","network":"lab","port":"vnet2","action":"drop","reason":"spoofed-sender",` +
			`"dry_run":true,` + frame,
	}
	if diff := cmp.Diff(want, lines[1:3]); diff != "" {
		t.Errorf("events (-want +got)\n%s", diff)
	}
	if last := lines[len(lines)-2]; !strings.HasSuffix(last, `,"lost":2}`) {
		t.Errorf("the last line is %s, want word of 2 lost events", last)
	}
	checkDescribed(t, loadStrict(t), r, w)
}

// watched calls a function after each part of an answer.
type watched struct {
	*httptest.ResponseRecorder
	flushed func()
}

func (w *watched) Flush() { w.flushed() }

// TestNobodyWaits holds that the fabric is not asked for those who have gone while others had their turn.
func TestNobodyWaits(t *testing.T) {
	s := newServer(&fake{}, usual)
	s.turn <- struct{}{}
	ctx, gone := context.WithCancel(context.Background())
	gone()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", pathStatus, nil).WithContext(ctx))
	if w.Body.Len() > 0 {
		t.Errorf("answered %s", w.Body)
	}
}

// TestReloadTakesLong holds that a reload may take longer than sending a request may.
func TestReloadTakesLong(t *testing.T) {
	quick := usual
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

// TestReloadTakesTooLong holds that one is told so, rather than nothing.
func TestReloadTakesTooLong(t *testing.T) {
	quick := usual
	quick.reloadTimeout = 10 * time.Millisecond
	socket, _ := start(t, &fake{reload: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}, quick)
	_, err := NewClient(socket).Reload(context.Background())
	want := Problem{
		Title: "Gateway Timeout", Status: 504,
		Detail: "the configuration is not in force after 10ms; the log says what becomes of it",
	}
	if p, ok := errors.AsType[*Problem](err); !ok || *p != want {
		t.Errorf("got error %#v, want %#v", err, want)
	}
}
