package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestClient checks that the client returns the answers of the fabric unchanged.
func TestClient(t *testing.T) {
	f := &fake{violations: []Violation{spoofed, nameless}}
	socket, _ := start(t, f, defaultLimits)
	c, ctx := NewClient(socket), context.Background()
	check := func(what string, got any, err error, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got)\n%s", what, err, diff)
		}
	}
	status, err := c.Status(ctx)
	check("status", status, err, f.Status())
	ports, err := c.Ports(ctx)
	check("ports", ports, err, f.Ports())
	violations, err := c.Violations(ctx, ViolationFilter{})
	check("violations", violations, err, f.violations)
	violations, err = c.Violations(ctx, ViolationFilter{Filter: event.Filter{Ports: []string{"vnet4"}}, Since: noon})
	check("violations since noon", violations, err, []Violation{spoofed})
	cleared, err := c.ClearViolations(ctx, ViolationFilter{Since: noon})
	check("clear", cleared, err, Cleared{1})
	byAddress, err := c.LookupAddress(ctx, db.First)
	check("bindings by address", byAddress, err, []Binding{db})
	byMAC, err := c.LookupMAC(ctx, registry.MAC{2, 0, 7, 0xde, 0x54, 0xa8})
	check("bindings by MAC", byMAC, err, []Binding{db})
	beginning, err := c.LookupTextPrefix(ctx, "10.239.")
	check("bindings by the beginning of their address", beginning, err, []Binding{db})
	none, err := c.LookupTextPrefix(ctx, "10.24")
	check("no bindings", none, err, []Binding{})
	q := explain.Question{Network: "lab", Port: "vnet3", Line: "who-has 10.239.0.1 tell 10.239.0.102"}
	explanation, err := c.Explain(ctx, q)
	check("an explanation", explanation, err, explained)
	check("the question", f.question(), nil, q)
	configuration, err := c.Reload(ctx)
	check("reload", configuration, err, f.Status().Configuration)
}

// TestLargeFrame asks about the largest frame, with separators: the client must remove them to stay within the limit.
func TestLargeFrame(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, defaultLimits)
	c, ctx := NewClient(socket), context.Background()
	const most = 1 << 16
	_, err := c.Explain(ctx, explain.Question{Hex: strings.Repeat("ff : ", most)})
	if err != nil || f.question().Hex != strings.Repeat("ff", most) {
		t.Errorf("error %v, asked for %d digits", err, len(f.question().Hex))
	}
	for digits, want := range map[string]string{
		strings.Repeat("ff", most+1): "the frame has 65537 bytes; want at most 65536",
		"fff":                        "the frame ends in half a byte: it has 3 hexadecimal digits",
	} {
		_, err := c.Explain(ctx, explain.Question{Hex: digits})
		if p, ok := errors.AsType[*Problem](err); !ok || p.Status != http.StatusBadRequest || p.Error() != want {
			t.Errorf("got error %#v, want %s", err, want)
		}
	}
}

// TestLongQuestion sends a query that is longer than the limit.
func TestLongQuestion(t *testing.T) {
	socket, _ := start(t, &fake{}, defaultLimits)
	_, err := NewClient(socket).LookupTextPrefix(context.Background(), strings.Repeat("1", 2*defaultLimits.header))
	want := "the request to arpfabric on " + socket + " is too long; ask for less at once"
	if err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

// TestProblem checks that the client returns the problem document of a request that failed.
func TestProblem(t *testing.T) {
	socket, _ := start(t, &fake{reload: func(context.Context) error { return errors.New("lab.yaml:3: a\nlab.yaml:4: b") }}, defaultLimits)
	_, err := NewClient(socket).Reload(context.Background())
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Status != http.StatusUnprocessableEntity || p.Error() != "lab.yaml:3: a\nlab.yaml:4: b" {
		t.Errorf("got error %#v", err)
	}
}

// TestNoFabric checks the error if no fabric is running.
func TestNoFabric(t *testing.T) {
	dir := shortDir(t)
	stale := filepath.Join(dir, "stale.sock")
	leaveBehind(t, stale)
	for _, socket := range []string{filepath.Join(dir, "none.sock"), stale} {
		_, err := NewClient(socket).Status(context.Background())
		want := "no arpfabric is running on " + socket + "; start it, or name the socket of its configuration (api.socket) with --socket"
		if err == nil || err.Error() != want {
			t.Errorf("got error %v, want %s", err, want)
		}
	}
}

// TestNoPermission connects as a user who may not use the socket.
func TestNoPermission(t *testing.T) {
	socket, _ := start(t, &fake{}, defaultLimits)
	labtest.Must(t, os.Chmod(socket, 0))
	ask := exec.Command("/proc/self/exe")
	ask.Env = append(os.Environ(), statusSocket+"="+socket)
	if os.Geteuid() == 0 { // root ignores the mode of the socket
		nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
		ask.SysProcAttr = &syscall.SysProcAttr{Credential: nobody}
	}
	ask.Dir = "/"
	output, err := ask.Output()
	labtest.Must(t, err)
	want := "no permission to connect to arpfabric on " + socket + "; use root, or join its group (api.group)"
	if string(output) != want {
		t.Errorf("the error is %q, want %q", output, want)
	}
}

// TestNotArpfabric connects to other servers.
func TestNotArpfabric(t *testing.T) {
	tests := []struct {
		name    string
		answers http.HandlerFunc
		want    string // after the socket's path
	}{
		{"a web server", http.NotFound, "is not arpfabric: 404 Not Found"},
		{"other JSON", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			w.Write([]byte(`{"error": "short and stout"}`))
		}, "is not arpfabric: 418 I'm a teapot"},
		{"HTML with status 200", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
			": invalid character '<' looking for beginning of value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			socket := serveOther(t, tt.answers)
			_, err := NewClient(socket).Status(context.Background())
			if err == nil || !strings.Contains(err.Error(), socket) || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("got error %v, want %s", err, tt.want)
			}
		})
	}
}

// TestHungFabric connects to a server that accepts connections and sends nothing, and to one that stops in the middle
// of its answer.
func TestHungFabric(t *testing.T) {
	send := func(w http.ResponseWriter, part string) {
		io.WriteString(w, part)
		w.(http.Flusher).Flush()
	}
	hangs := map[string]func(http.ResponseWriter){
		"before it answers":  func(http.ResponseWriter) {},
		"after a keep-alive": func(w http.ResponseWriter) { send(w, "\n") },
		"in an event":        func(w http.ResponseWriter) { send(w, `{"time":`) },
	}
	for name, hang := range hangs {
		t.Run(name, func(t *testing.T) {
			c := NewClient(serveOther(t, func(w http.ResponseWriter, r *http.Request) {
				hang(w)
				<-r.Context().Done()
			}))
			c.timeout = 100 * time.Millisecond
			want := "arpfabric on " + c.socket + " has sent nothing for 100ms; check whether its process is stopped or " +
				"the machine is overloaded"
			if _, err := c.Status(context.Background()); err == nil || err.Error() != want {
				t.Errorf("Status returned %v, want %s", err, want)
			}
			do := always(func(e Event) error { return fmt.Errorf("got %+v", e) })
			if err := c.Watch(context.Background(), event.Filter{}, 0, do); err == nil || err.Error() != want {
				t.Errorf("Watch returned %v, want %s", err, want)
			}
		})
	}
}

// TestWatchContinues checks that keep-alives are enough, and that the time which the client takes for an event does not
// count as silence of the server.
func TestWatchContinues(t *testing.T) {
	const timeout = time.Second
	c := NewClient(serveOther(t, func(w http.ResponseWriter, r *http.Request) {
		line := `{"port":"first"}`
		for began := time.Now(); r.Context().Err() == nil; time.Sleep(timeout / 50) {
			io.WriteString(w, line+"\n")
			w.(http.Flusher).Flush()
			line = ""
			if time.Since(began) > 3*timeout {
				line = `{"port":"last"}`
			}
		}
	}))
	c.timeout = timeout
	enough := errors.New("enough")
	err := c.Watch(context.Background(), event.Filter{}, 0, always(func(e Event) error {
		if e.Port == "last" {
			return enough
		}
		time.Sleep(timeout * 3 / 2)
		return nil
	}))
	if err != enough {
		t.Errorf("Watch returned %v", err)
	}
}

// serveOther runs another HTTP server on a socket until the test ends.
func serveOther(t *testing.T, answers http.HandlerFunc) (socket string) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "other.sock")
	l, err := net.Listen("unix", socket)
	labtest.Must(t, err)
	web := http.Server{Handler: answers}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(l) }()
	t.Cleanup(func() { web.Close(); <-ended })
	return socket
}

// watch runs Watch in the background until the test ends or calls stop, which returns the error of Watch.
func watch(t *testing.T, f *fake, socket string, filter event.Filter) (events <-chan Event, stop func() error) {
	t.Helper()
	before := len(f.listened())
	got, ended := make(chan Event, 2*eventCapacity), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		ended <- NewClient(socket).Watch(ctx, filter, 0, always(func(e Event) error { got <- e; return nil }))
	}()
	labtest.Eventually(t, "the fabric has one more listener", func() bool { return len(f.listened()) > before })
	return got, func() error { cancel(); return <-ended }
}

// always returns a begin function for Watch that always returns do.
func always(do func(Event) error) func() (func(Event) error, error) {
	return func() (func(Event) error, error) { return do, nil }
}

func TestLastEvent(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, defaultLimits)
	c := NewClient(socket)
	if e, ok, err := c.LastEvent(context.Background(), event.Filter{}); ok || err != nil {
		t.Errorf("before the first event: %v, %v", e, err)
	}
	f.Publish(answered())
	for port, want := range map[string]bool{"vnet2": true, "vnet3": false} {
		e, ok, err := c.LastEvent(context.Background(), event.Filter{Ports: []string{port}})
		if err != nil || ok != want || ok && (e.Port != port || !e.Earlier) {
			t.Errorf("the last event of %s: %v, %v, %v", port, e, ok, err)
		}
	}
	if _, _, err := NewClient(socket+"x").LastEvent(context.Background(), event.Filter{}); err == nil {
		t.Error("no error without a fabric")
	}
}

func TestWatch(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, defaultLimits)
	filter := event.Filter{
		Networks: []string{"lab", "a b&c"}, Ports: []string{"vnet2"}, Addresses: []netip.Addr{db.First},
		Reasons: []responder.Reason{responder.Answered}, Actions: []responder.Action{responder.Reply},
	}
	events, stop := watch(t, f, socket, filter)
	if diff := cmp.Diff([]event.Filter{filter}, f.listened(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("the filter (-want +got)\n%s", diff)
	}
	other := answered()
	other.Port = "vnet3"
	f.Publish(other)
	f.Publish(answered())
	want := Event{
		Time: noon, Network: "lab", Port: "vnet2", Action: "reply", Reason: "answered",
		Words: "ARP, Request who-has 10.239.0.102 tell 10.239.0.101, length 28", Frame: dbRequest, Length: 42,
	}
	if diff := cmp.Diff(want, <-events); diff != "" {
		t.Errorf("the event (-want +got)\n%s", diff)
	}
	if err := stop(); err != nil {
		t.Errorf("watching ended with %v", err)
	}
	labtest.Eventually(t, "the fabric has no listener", func() bool { return !f.IsHeard() })
}

// TestWatchLosesEvents checks that each event arrives or is counted as lost.
func TestWatchLosesEvents(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, defaultLimits)
	events, stop := watch(t, f, socket, event.Filter{})
	const published = 3 * eventCapacity
	for range published {
		f.Publish(answered())
	}
	arrived, lost := 0, uint64(0)
	for arrived+int(lost) < published {
		e := <-events
		lost += e.Lost
		if e.Lost == 0 {
			arrived++
		}
	}
	if arrived+int(lost) != published || arrived < eventCapacity {
		t.Errorf("%d arrived and %d are lost, of %d", arrived, lost, published)
	}
	labtest.Must(t, stop())
}

// never returns a begin function for a Watch that must fail before it begins.
func never(t *testing.T) func() (func(Event) error, error) {
	return func() (func(Event) error, error) {
		t.Error("Watch called begin")
		return nil, errors.New("Watch called begin")
	}
}

// TestWatchCannotBegin checks that Watch returns the error of begin and stops listening.
func TestWatchCannotBegin(t *testing.T) {
	f, why := &fake{}, errors.New("no such folder")
	socket, _ := start(t, f, defaultLimits)
	begin := func() (func(Event) error, error) {
		if !f.IsHeard() {
			t.Error("Watch called begin before the fabric had a listener")
		}
		return nil, why
	}
	if err := NewClient(socket).Watch(context.Background(), event.Filter{}, 0, begin); err != why {
		t.Errorf("error %v, want %v", err, why)
	}
	labtest.Eventually(t, "the fabric has no listener", func() bool { return !f.IsHeard() })
}

// TestWatchEnds checks every end of Watch except that of its context.
func TestWatchEnds(t *testing.T) {
	f := &fake{}
	socket, gone := start(t, f, defaultLimits)
	enough := errors.New("enough")
	ended := make(chan error, 1)
	go func() {
		ended <- NewClient(socket).Watch(context.Background(), event.Filter{}, 0, always(func(Event) error { return enough }))
	}()
	labtest.Eventually(t, "the fabric has a listener", f.IsHeard)
	f.Publish(answered())
	if err := <-ended; err != enough {
		t.Errorf("ended with %v, want what the function returned", err)
	}
	labtest.Eventually(t, "the fabric has no listener", func() bool { return !f.IsHeard() })
	arrived := make(chan struct{}, 1)
	go func() {
		ended <- NewClient(socket).Watch(context.Background(), event.Filter{}, 0, always(func(Event) error {
			arrived <- struct{}{}
			return nil
		}))
	}()
	labtest.Eventually(t, "the fabric has a listener again", f.IsHeard)
	f.Publish(answered())
	<-arrived
	gone()
	if err := <-ended; err == nil || err.Error() != "arpfabric on "+socket+" closed the connection" {
		t.Errorf("ended with %v, want that arpfabric closed the connection", err)
	}
	if err := NewClient(socket).Watch(context.Background(), event.Filter{}, 0, never(t)); err == nil {
		t.Error("Watch returned no error without a fabric")
	}
	already, cancel := context.WithCancel(context.Background())
	cancel()
	if err := NewClient(socket).Watch(already, event.Filter{}, 0, never(t)); err != nil {
		t.Errorf("after its context has ended: %v", err)
	}
}
