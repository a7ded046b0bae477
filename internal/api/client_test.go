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
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestClient holds that what the fabric says arrives as it is.
func TestClient(t *testing.T) {
	f := &fake{violations: []Violation{spoofed, nameless}}
	socket, _ := start(t, f, usual)
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
	violations, err := c.Violations(ctx)
	check("violations", violations, err, f.violations)
	byAddress, err := c.LookupAddress(ctx, db.First)
	check("bindings by address", byAddress, err, []Binding{db})
	byMAC, err := c.LookupMAC(ctx, responder.MAC{2, 0, 7, 0xde, 0x54, 0xa8})
	check("bindings by MAC", byMAC, err, []Binding{db})
	beginning, err := c.LookupBeginning(ctx, "10.239.")
	check("bindings by the beginning of their address", beginning, err, []Binding{db})
	none, err := c.LookupBeginning(ctx, "10.24")
	check("no bindings", none, err, []Binding{})
	q := explain.Question{Network: "lab", Port: "vnet3", Line: "who-has 10.239.0.1 tell 10.239.0.102"}
	explanation, err := c.Explain(ctx, q)
	check("an explanation", explanation, err, explained)
	check("the question", f.question(), nil, q)
	configuration, err := c.Reload(ctx)
	check("reload", configuration, err, f.Status().Configuration)
}

// TestLargeFrame asks about the largest frame there is, in more characters than a request may have.
func TestLargeFrame(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, usual)
	c, ctx := NewClient(socket), context.Background()
	const most = 1 << 16
	_, err := c.Explain(ctx, explain.Question{Hex: strings.Repeat("ff : ", most)})
	if err != nil || f.question().Hex != strings.Repeat("ff", most) {
		t.Errorf("error %v, asked for %d digits", err, len(f.question().Hex))
	}
	for digits, want := range map[string]string{
		strings.Repeat("ff", most+1): "the frame has 65537 bytes; none has more than 65536",
		"fff":                        "the frame ends in half a byte: it has 3 hexadecimal digits",
	} {
		_, err := c.Explain(ctx, explain.Question{Hex: digits})
		if p, ok := errors.AsType[*Problem](err); !ok || p.Status != http.StatusBadRequest || p.Error() != want {
			t.Errorf("got error %#v, want %s", err, want)
		}
	}
}

// TestLongQuestion asks for more than a request may have.
func TestLongQuestion(t *testing.T) {
	socket, _ := start(t, &fake{}, usual)
	_, err := NewClient(socket).LookupBeginning(context.Background(), strings.Repeat("1", 2*usual.header))
	want := "the arpfabric on " + socket + " takes no question that is so long; ask for less at once"
	if err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

func TestRefused(t *testing.T) {
	socket, _ := start(t, &fake{reload: func(context.Context) error { return errors.New("lab.yaml:3: a\nlab.yaml:4: b") }}, usual)
	_, err := NewClient(socket).Reload(context.Background())
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Status != http.StatusUnprocessableEntity || p.Error() != "lab.yaml:3: a\nlab.yaml:4: b" {
		t.Errorf("got error %#v", err)
	}
}

// TestNobodyThere holds what a user is told where there is no fabric.
func TestNobodyThere(t *testing.T) {
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

// TestStranger asks as somebody who may not.
func TestStranger(t *testing.T) {
	socket, _ := start(t, &fake{}, usual)
	must(t, os.Chmod(socket, 0))
	ask := exec.Command("/proc/self/exe")
	ask.Env = append(os.Environ(), asStranger+"="+socket)
	if os.Geteuid() == 0 { // may do everything
		nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
		ask.SysProcAttr = &syscall.SysProcAttr{Credential: nobody}
	}
	ask.Dir = "/"
	said, err := ask.Output()
	must(t, err)
	want := "you may not ask the arpfabric on " + socket + "; be root or in its group (api.group)"
	if string(said) != want {
		t.Errorf("the stranger is told %q, want %q", said, want)
	}
}

// TestNotArpfabric asks others that answer on a socket.
func TestNotArpfabric(t *testing.T) {
	tests := []struct {
		name    string
		answers http.HandlerFunc
		want    string // after the socket's path
	}{
		{"a web server", http.NotFound, "is not arpfabric: 404 Not Found"},
		{"one with other problems", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			w.Write([]byte(`{"error": "short and stout"}`))
		}, "is not arpfabric: 418 I'm a teapot"},
		{"one that knows everything", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
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

// TestHungFabric asks one that takes connections and says nothing, and one that is stopped while it tells of events or
// answers.
func TestHungFabric(t *testing.T) {
	begins := func(w http.ResponseWriter, what string) {
		io.WriteString(w, what)
		w.(http.Flusher).Flush()
	}
	hangs := map[string]func(http.ResponseWriter){
		"before it answers": func(http.ResponseWriter) {},
		"after a sign":      func(w http.ResponseWriter) { begins(w, "\n") },
		"amid an event":     func(w http.ResponseWriter) { begins(w, `{"time":`) },
	}
	for name, hang := range hangs {
		t.Run(name, func(t *testing.T) {
			c := NewClient(serveOther(t, func(w http.ResponseWriter, r *http.Request) {
				hang(w)
				<-r.Context().Done()
			}))
			c.patience = 100 * time.Millisecond
			want := "the arpfabric on " + c.socket + " does not answer: it has said nothing for 100ms; look whether its " +
				"process is stopped, or the machine overloaded"
			if _, err := c.Status(context.Background()); err == nil || err.Error() != want {
				t.Errorf("asking ends with %v, want %s", err, want)
			}
			do := always(func(e Event) error { return fmt.Errorf("got %+v", e) })
			if err := c.Watch(context.Background(), event.Filter{}, do); err == nil || err.Error() != want {
				t.Errorf("watching ends with %v, want %s", err, want)
			}
		})
	}
}

// TestWatchGoesOn holds that signs of life are enough, and that whoever takes long with an event hears the next one all
// the same.
func TestWatchGoesOn(t *testing.T) {
	const patience = time.Second
	c := NewClient(serveOther(t, func(w http.ResponseWriter, r *http.Request) {
		line := `{"port":"first"}`
		for began := time.Now(); r.Context().Err() == nil; time.Sleep(patience / 50) {
			io.WriteString(w, line+"\n")
			w.(http.Flusher).Flush()
			line = ""
			if time.Since(began) > 3*patience {
				line = `{"port":"last"}`
			}
		}
	}))
	c.patience = patience
	enough := errors.New("enough")
	err := c.Watch(context.Background(), event.Filter{}, always(func(e Event) error {
		if e.Port == "last" {
			return enough
		}
		time.Sleep(patience * 3 / 2)
		return nil
	}))
	if err != enough {
		t.Errorf("watching ends with %v", err)
	}
}

// serveOther serves what is no fabric until the test ends.
func serveOther(t *testing.T, answers http.HandlerFunc) (socket string) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "other.sock")
	l, err := net.Listen("unix", socket)
	must(t, err)
	web := http.Server{Handler: answers}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(l) }()
	t.Cleanup(func() { web.Close(); <-ended })
	return socket
}

// watch listens in the background until the test ends, or stop is called, which returns how it ended.
func watch(t *testing.T, f *fake, socket string, filter event.Filter) (events <-chan Event, stop func() error) {
	t.Helper()
	before := len(f.listened())
	got, ended := make(chan Event, 2*eventRoom), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		ended <- NewClient(socket).Watch(ctx, filter, always(func(e Event) error { got <- e; return nil }))
	}()
	lab.Eventually(t, "one more listens", func() bool { return len(f.listened()) > before })
	return got, func() error { cancel(); return <-ended }
}

// always begins a Watch with a function for each event.
func always(do func(Event) error) func() (func(Event) error, error) {
	return func() (func(Event) error, error) { return do, nil }
}

func TestWatch(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, usual)
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
	lab.Eventually(t, "nobody listens", func() bool { return !f.IsHeard() })
}

// TestWatchLosesEvents holds that each event arrives or is told to be lost.
func TestWatchLosesEvents(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, usual)
	events, stop := watch(t, f, socket, event.Filter{})
	const published = 3 * eventRoom
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
	if arrived+int(lost) != published || arrived < eventRoom {
		t.Errorf("%d arrived and %d are lost, of %d", arrived, lost, published)
	}
	must(t, stop())
}

// never says that a Watch begins that can't.
func never(t *testing.T) func() (func(Event) error, error) {
	return func() (func(Event) error, error) {
		t.Error("watching begins")
		return nil, errors.New("watching begins")
	}
}

// TestWatchCannotBegin holds that who can't do anything with events is told why, and does not go on listening.
func TestWatchCannotBegin(t *testing.T) {
	f, why := &fake{}, errors.New("no such folder")
	socket, _ := start(t, f, usual)
	begin := func() (func(Event) error, error) {
		if !f.IsHeard() {
			t.Error("it begins before the fabric tells of events")
		}
		return nil, why
	}
	if err := NewClient(socket).Watch(context.Background(), event.Filter{}, begin); err != why {
		t.Errorf("error %v, want %v", err, why)
	}
	lab.Eventually(t, "nobody listens", func() bool { return !f.IsHeard() })
}

// TestWatchEnds holds how watching ends but for its context.
func TestWatchEnds(t *testing.T) {
	f := &fake{}
	socket, gone := start(t, f, usual)
	enough := errors.New("enough")
	ended := make(chan error, 1)
	go func() {
		ended <- NewClient(socket).Watch(context.Background(), event.Filter{}, always(func(Event) error { return enough }))
	}()
	lab.Eventually(t, "somebody listens", f.IsHeard)
	f.Publish(answered())
	if err := <-ended; err != enough {
		t.Errorf("ended with %v, want what the function returned", err)
	}
	lab.Eventually(t, "nobody listens", func() bool { return !f.IsHeard() })
	arrived := make(chan struct{}, 1)
	go func() {
		ended <- NewClient(socket).Watch(context.Background(), event.Filter{}, always(func(Event) error {
			arrived <- struct{}{}
			return nil
		}))
	}()
	lab.Eventually(t, "somebody listens again", f.IsHeard)
	f.Publish(answered())
	<-arrived
	gone()
	if err := <-ended; err == nil || err.Error() != "the fabric on "+socket+" has gone" {
		t.Errorf("ended with %v, want that the fabric has gone", err)
	}
	if err := NewClient(socket).Watch(context.Background(), event.Filter{}, never(t)); err == nil {
		t.Error("there is no error where there is no fabric")
	}
	already, cancel := context.WithCancel(context.Background())
	cancel()
	if err := NewClient(socket).Watch(already, event.Filter{}, never(t)); err != nil {
		t.Errorf("after its context has ended: %v", err)
	}
}
