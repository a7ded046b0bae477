package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	webJSON = `{"network":"lab","first":"10.239.0.103","last":"10.239.0.103","mac":"02:00:09:de:54:a8","name":"web","port":"",` +
		`"origin":"store:43","source":"store","revision":43,"expires":"2026-03-02T12:00:00Z"}`
	dbInLabJSON = `{"network":"lab","first":"10.239.0.102","last":"10.239.0.102","mac":"02:00:07:de:54:a8","name":"db","port":"vnet3",` +
		`"origin":"lab.yaml:8","source":"config"}`
	ownerJSON   = `{"mac":"02:00:09:de:54:a8","name":"web","port":"","expires":"2026-03-02T12:00:00Z"}`
	firstJSON   = `{"revision":42,"time":"2026-03-02T08:00:00Z","kind":"allocate","network":"lab","address":"10.239.0.103","is":` + ownerJSON + `,"uid":1000,"pid":4711}`
	expiredJSON = `{"revision":43,"time":"2026-03-02T12:00:00Z","kind":"expire","network":"lab","address":"10.239.0.103","is":` + ownerJSON + `}`
)

// asPeer returns a request as it comes from a process of a user.
func asPeer(r *http.Request, uid uint32) *http.Request {
	p := &peer{Caller: store.Caller{UID: uid, PID: 4711}, groups: []uint32{uid}}
	return r.WithContext(context.WithValue(r.Context(), peerKey{}, p))
}

// TestNetworkAnswers compares the answers about networks' bindings byte by byte, and checks them against the description.
func TestNetworkAnswers(t *testing.T) {
	tests := []struct {
		name, query string
		status      int
		etag, body  string
	}{
		{"all", "/v1/networks/lab/bindings", 200, "", `{"bindings":[` + dbInLabJSON + `,` + webJSON + `]}`},
		{"a page", "/v1/networks/lab/bindings?limit=1", 200, "", `{"bindings":[` + dbInLabJSON + `],"after":"10.239.0.102"}`},
		{"the next page", "/v1/networks/lab/bindings?limit=1&after=10.239.0.102", 200, "", `{"bindings":[` + webJSON + `]}`},
		{"a source", "/v1/networks/lab/bindings?source=store", 200, "", `{"bindings":[` + webJSON + `]}`},
		{"a MAC", "/v1/networks/lab/bindings?mac=02-00-07-DE-54-A8", 200, "", `{"bindings":[` + dbInLabJSON + `]}`},
		{"a name", "/v1/networks/lab/bindings?name=nobody", 200, "", `{"bindings":[]}`},
		{"one", "/v1/networks/lab/bindings/10.239.0.103", 200, `"43"`, webJSON},
		{"one of the configuration", "/v1/networks/lab/bindings/10.239.0.102", 200, "", dbInLabJSON},
		{"free", "/v1/networks/lab/free?limit=1", 200, "", `[{"network":"lab","first":"10.239.0.102","last":"10.239.0.102"}]`},
		{"addresses", "/v1/networks/lab/addresses?limit=1", 200, "", `{"subnet":"10.239.0.0/23","blocks":[{"first":"10.239.0.0","states":"-.aA!"}],"after":"10.239.0.0"}`},
		{"more addresses", "/v1/networks/lab/addresses?after=10.239.0.0", 200, "", `{"subnet":"10.239.0.0/23","blocks":[{"first":"10.239.1.0","states":"-.aA!"}]}`},
		{"history", "/v1/history", 200, "", `[` + firstJSON + `,` + expiredJSON + `]`},
		{"older history", "/v1/history?before=43&network=lab&limit=7", 200, "", `[` + firstJSON + `]`},

		{"no binding", "/v1/networks/lab/bindings/10.239.0.9", 404, "", `{"title":"Not Found","status":404,"detail":"10.239.0.9 has no binding in network lab"}`},
		{"no network", "/v1/networks/other/bindings", 404, "", `{"title":"Not Found","status":404,"detail":"there is no network other"}`},
		{"addresses of no network", "/v1/networks/other/addresses", 404, "", `{"title":"Not Found","status":404,"detail":"there is no network other"}`},
		{"addresses after none", "/v1/networks/lab/addresses?after=web", 400, "", `{"title":"Bad Request","status":400,"detail":"\"web\" is not an IPv4 address"}`},
		{"bad address", "/v1/networks/lab/bindings/web", 400, "", `{"title":"Bad Request","status":400,"detail":"\"web\" is not an IPv4 address"}`},
		{"bad limit", "/v1/networks/lab/bindings?limit=1001", 400, "", `{"title":"Bad Request","status":400,"detail":"\"1001\" is not a limit: want 1 to 1000"}`},
		{"bad source", "/v1/networks/lab/bindings?source=x", 400, "", `{"title":"Bad Request","status":400,"detail":"unknown source \"x\"; want one of config, store, dnsmasq_leases, kea_leases, isc_leases, libvirt_status, docker"}`},
		{"bad revision", "/v1/history?before=x", 400, "", `{"title":"Bad Request","status":400,"detail":"\"x\" is not a revision"}`},
		{"no name of a network", "/v1/networks//bindings", 404, "", `{"title":"Not Found","status":404,"detail":"unknown path /v1/networks//bindings; /v1/openapi.json lists the paths"}`},
	}
	doc := loadStrict(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, w := httptest.NewRequest("GET", tt.query, nil), httptest.NewRecorder()
			newServer(&fake{}, defaultLimits).ServeHTTP(w, r)
			if w.Code != tt.status || w.Header().Get("ETag") != tt.etag {
				t.Errorf("answered with %d, ETag %s", w.Code, w.Header().Get("ETag"))
			}
			if diff := cmp.Diff(tt.body+"\n", w.Body.String()); diff != "" {
				t.Errorf("answer (-want +got)\n%s", diff)
			}
			checkDescribed(t, doc, r, w)
		})
	}
}

// TestChanges checks how requests for changes are understood, and the statuses of refusals.
func TestChanges(t *testing.T) {
	addr, root := netip.MustParseAddr("10.239.0.103"), store.Caller{PID: 4711}
	from, err := config.ParseRange("10.239.0.128/28")
	labtest.Must(t, err)
	mac := registrytest.MAC("02:00:09:de:54:a8")
	type asked struct {
		Network string
		Change  any
	}
	const path = "/v1/networks/lab/bindings"
	tests := []struct {
		name, method, path, body string
		ifMatch, ifNoneMatch     string
		want                     any // nil if the request is wrong
		err                      error
		status                   int
		text                     string
	}{
		{"next free", "POST", path, `{}`, "", "", allocate.Request{Caller: root}, nil, 200, webJSON},
		{
			"all keys", "POST", path,
			`{"address":"10.239.0.103","mac":"02:00:09:de:54:a8","name":"web","port":"vnet3","expires":"2026-03-02T12:00:00Z"}`, "", "",
			allocate.Request{Address: addr, MAC: mac, Name: "web", Port: "vnet3", Expires: noon, Caller: root}, nil, 200, webJSON,
		},
		{"a range", "POST", path, `{"from":"10.239.0.128/28"}`, "", "", allocate.Request{From: from, Caller: root}, nil, 200, webJSON},
		{"put", "PUT", path + "/10.239.0.103", `{"name":"web"}`, "", "", allocate.Request{Address: addr, Name: "web", Caller: root}, nil, 200, webJSON},
		{
			"put if it is the same", "PUT", path + "/10.239.0.103", `{}`, `"43"`, "",
			allocate.Request{Address: addr, Caller: root, Precondition: allocate.Precondition{Revision: 43}}, nil, 200, webJSON,
		},
		{
			"put if it is not there", "PUT", path + "/10.239.0.103", `{}`, "", "*",
			allocate.Request{Address: addr, Caller: root, Precondition: allocate.Precondition{Absent: true}}, nil, 200, webJSON,
		},
		{"free", "DELETE", path + "/10.239.0.103", "", `"43"`, "", freeing{addr, allocate.Precondition{Revision: 43}, root}, nil, 200, webJSON},

		{"taken", "POST", path, `{}`, "", "", allocate.Request{Caller: root}, &allocate.Refusal{Cause: allocate.Taken, Text: "why"}, 409, `"why"`},
		{"full", "POST", path, `{}`, "", "", allocate.Request{Caller: root}, &allocate.Refusal{Cause: allocate.Exhausted, Text: "why"}, 409, `"why"`},
		{"invalid", "POST", path, `{}`, "", "", allocate.Request{Caller: root}, &allocate.Refusal{Cause: allocate.Invalid, Text: "why"}, 400, `"why"`},
		{"missing", "DELETE", path + "/10.239.0.103", "", "", "", freeing{addr, allocate.Precondition{}, root}, &allocate.Refusal{Cause: allocate.Missing, Text: "why"}, 404, `"why"`},
		{"changed", "DELETE", path + "/10.239.0.103", "", "", "", freeing{addr, allocate.Precondition{}, root}, &allocate.Refusal{Cause: allocate.Changed, Text: "why"}, 412, `"why"`},
		{"full disk", "POST", path, `{}`, "", "", allocate.Request{Caller: root}, errors.New("no space left"), 503, `"no space left"`},

		{"no body", "POST", path, "", "", "", nil, nil, 400, "the body does not match /v1/openapi.json: it is empty; want a JSON object"},
		{"unknown key", "POST", path, `{"adress":"10.239.0.103"}`, "", "", nil, nil, 400, `unknown field \"adress\"`},
		{"two objects", "POST", path, `{} {}`, "", "", nil, nil, 400, "it has something after its first JSON value"},
		{"more than an object", "POST", path, `{}}`, "", "", nil, nil, 400, "it is not valid JSON"},
		{"address and range", "POST", path, `{"address":"10.239.0.103","from":"10.239.0.128/28"}`, "", "", nil, nil, 400, "either address or from"},
		{"bad range", "POST", path, `{"from":"10.239.0.9-10.239.0.1"}`, "", "", nil, nil, 400, "the range ends before it starts"},
		{"bad MAC", "POST", path, `{"mac":"02"}`, "", "", nil, nil, 400, "is not a MAC address"},
		{"bad TTL", "POST", path, `{"ttl":"soon"}`, "", "", nil, nil, 400, "is not a duration"},
		{"TTL and expiry", "POST", path, `{"ttl":"1h","expires":"2026-03-02T12:00:00Z"}`, "", "", nil, nil, 400, "either ttl or expires"},
		{"address in a put", "PUT", path + "/10.239.0.103", `{"address":"10.239.0.104"}`, "", "", nil, nil, 400, `unknown field \"address\"`},
		{"bad ETag", "PUT", path + "/10.239.0.103", `{}`, `W/"43"`, "", nil, nil, 400, "If-Match takes one ETag"},
		{"ETag for none", "PUT", path + "/10.239.0.103", `{}`, "", `"43"`, nil, nil, 400, "If-None-Match takes *"},
		{"body of a DELETE", "DELETE", path + "/10.239.0.103", `{}`, "", "", nil, nil, 413, "this request takes no body"},
		{"post to an address", "POST", path + "/10.239.0.103", `{}`, "", "", nil, nil, 405, "takes GET, PUT, DELETE, not POST"},
	}
	doc := loadStrict(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got *asked
			f := &fake{change: func(network string, q any) (NetworkBinding, error) {
				got = &asked{network, q}
				return web, tt.err
			}}
			r := asPeer(httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body)), 0)
			if tt.ifMatch != "" {
				r.Header.Set("If-Match", tt.ifMatch)
			}
			if tt.ifNoneMatch != "" {
				r.Header.Set("If-None-Match", tt.ifNoneMatch)
			}
			r.Header.Set("Content-Type", mediaJSON)
			w := httptest.NewRecorder()
			newServer(f, defaultLimits).ServeHTTP(w, r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.text) {
				t.Errorf("answered with %d, %s", w.Code, w.Body)
			}
			var want *asked
			if tt.want != nil {
				want = &asked{"lab", tt.want}
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("asked for (-want +got)\n%s", diff)
			}
			if w.Code == http.StatusOK {
				r = httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body)) // the server has read the first one
				r.Header.Set("Content-Type", mediaJSON)
				checkDescribed(t, doc, r, w)
			}
		})
	}
}

// TestTTL checks that an allocation never lasts shorter than asked for.
func TestTTL(t *testing.T) {
	now := noon.Add(time.Millisecond)
	q, err := AllocationSettings{TTL: "1h"}.request(now)
	labtest.Must(t, err)
	if want := noon.Add(time.Hour + time.Second); !q.Expires.Equal(want) {
		t.Errorf("expires %v, want %v", q.Expires, want)
	}
}

// TestWriters checks who may change allocations.
func TestWriters(t *testing.T) {
	self := uint32(os.Geteuid())
	tests := []struct {
		name    string
		gid     int
		peer    *peer
		isKnown bool
	}{
		{"root", -1, &peer{}, true},
		{"the fabric's user", -1, &peer{Caller: store.Caller{UID: self}}, true},
		{"another user", -1, &peer{Caller: store.Caller{UID: 12345}, groups: []uint32{0, 12345}}, false},
		{"a writer", 77, &peer{Caller: store.Caller{UID: 12345}, groups: []uint32{12345, 77}}, true},
		{"no writer", 77, &peer{Caller: store.Caller{UID: 12345}, groups: []uint32{12345, 78}}, false},
		{"a process that the kernel does not know", 77, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{change: func(string, any) (NetworkBinding, error) { return web, nil }}
			s := newServer(f, defaultLimits)
			s.writers.gid, s.writers.group = tt.gid, "netops"
			for _, method := range []string{"POST", "PUT", "DELETE"} {
				path, body := "/v1/networks/lab/bindings", "{}"
				if method != "POST" {
					path += "/10.239.0.103"
				}
				if method == "DELETE" {
					body = ""
				}
				r := httptest.NewRequest(method, path, strings.NewReader(body))
				if tt.peer != nil {
					r = r.WithContext(context.WithValue(r.Context(), peerKey{}, tt.peer))
				}
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				want := map[bool]int{true: 200, false: 403}[tt.isKnown]
				if w.Code != want || !tt.isKnown && !strings.Contains(w.Body.String(), "only root and arpfabric's own user, and the group") {
					t.Errorf("%s: %d %s", method, w.Code, w.Body)
				}
			}
		})
	}
}

// TestChangeLimit checks that one user's changes are limited, and that they do not cost another user's.
func TestChangeLimit(t *testing.T) {
	s := newServer(&fake{change: func(string, any) (NetworkBinding, error) { return web, nil }}, defaultLimits)
	s.writers.gid = 12345
	post := func(uid uint32) int {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, asPeer(httptest.NewRequest("POST", "/v1/networks/lab/bindings", strings.NewReader("{}")), uid))
		return w.Code
	}
	last := 0
	for range 100 * changesAtOnce {
		if last = post(12345); last != 200 {
			break
		}
	}
	if last != http.StatusTooManyRequests || post(0) != 200 {
		t.Errorf("at last %d; root gets %d", last, post(0))
	}
}

// TestPeer checks that the kernel tells user, process and groups of a client.
func TestPeer(t *testing.T) {
	var got store.Caller
	f := &fake{change: func(_ string, q any) (NetworkBinding, error) {
		got = q.(allocate.Request).Caller
		return web, nil
	}}
	socket, _ := start(t, f, defaultLimits)
	b, err := NewClient(socket).Allocate(context.Background(), "lab", NewAllocation{})
	labtest.Must(t, err)
	if want := (store.Caller{UID: uint32(os.Geteuid()), PID: int32(os.Getpid())}); got != want || b.Name != "web" {
		t.Errorf("%+v allocated, want %+v; %+v", got, want, b)
	}
}

// TestGroups lets processes of another user, with a group and without it, ask for an allocation.
func TestGroups(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it needs root, to run a process as another user")
	}
	started := newServer(&fake{change: func(string, any) (NetworkBinding, error) { return web, nil }}, defaultLimits)
	labtest.Must(t, started.admitGroup("4242"))
	socket := serveWith(t, started)
	many := make([]uint32, 100) // more than fit into the first buffer
	for i := range many {
		many[i] = uint32(50_000 + i)
	}
	for _, tt := range []struct {
		name      string
		groups    []uint32
		isAllowed bool
	}{
		{"no group", nil, false},
		{"the group", []uint32{4242}, true},
		{"the last of many", append(many, 4242), true},
		{"many others", many, false},
	} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), allocateSocket+"="+socket)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345, Groups: tt.groups}}
		out, err := cmd.CombinedOutput()
		labtest.Must(t, err)
		if got := string(out) == "<nil>"; got != tt.isAllowed {
			t.Errorf("%s: %s", tt.name, out)
		}
	}
}

// serveWith serves until the test ends, for every user.
func serveWith(t *testing.T, s *Server) (socket string) {
	t.Helper()
	socket, listener := newSocket(t)
	labtest.Must(t, os.Chmod(socket, 0o666))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, listener, discard) }()
	t.Cleanup(func() {
		cancel()
		labtest.Must(t, <-ended)
	})
	return socket
}

// TestClientOfBindings checks that the client and the server understand each other.
func TestClientOfBindings(t *testing.T) {
	ctx := context.Background()
	var got any
	socket, _ := start(t, &fake{change: func(_ string, q any) (NetworkBinding, error) { got = q; return web, nil }}, defaultLimits)
	c := NewClient(socket)
	page, err := c.NetworkBindings(ctx, "lab", BindingQuery{Source: FromStore, Name: "web", MAC: registrytest.MAC(web.MAC), After: db.First, Limit: 5})
	if err != nil || len(page.Bindings) != 1 || page.Bindings[0].Name != "web" {
		t.Errorf("bindings %v, %v", page, err)
	}
	if free, err := c.FreeRanges(ctx, "lab"); err != nil || len(free) != 2 {
		t.Errorf("free %v, %v", free, err)
	}
	if changes, err := c.History(ctx, "lab", 1); err != nil || len(changes) != 1 || changes[0].Kind != Expired {
		t.Errorf("history %v, %v", changes, err)
	}
	_, err = c.FreeBinding(ctx, "lab", web.First, 43)
	labtest.Must(t, err)
	if f, ok := got.(freeing); !ok || f.Precondition.Revision != 43 || f.Address != web.First {
		t.Errorf("freed %+v", got)
	}
	settings := AllocationSettings{MAC: web.MAC, Name: "web"}
	for _, expected := range []allocate.Precondition{{}, {Revision: 43}, {Absent: true}} {
		_, err = c.PutBinding(ctx, "lab", web.First, settings, expected)
		labtest.Must(t, err)
		q, ok := got.(allocate.Request)
		if !ok || q.Address != web.First || q.Name != "web" || q.MAC.String() != web.MAC || q.Precondition != expected {
			t.Errorf("put %+v, expecting %+v", got, expected)
		}
	}
	if b, err := c.NetworkBinding(ctx, "lab", web.First); err != nil || b.Revision != 43 {
		t.Errorf("binding %+v, %v", b, err)
	}
	if _, err := c.NetworkBindings(ctx, "a/b c", BindingQuery{}); err == nil {
		t.Error("a network with a slash is found")
	}
}
