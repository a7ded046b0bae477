package api

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// Client calls the API of a running fabric. If the server answers with a problem document, the error is a *[Problem].
// Every error tells the user what to do.
type Client struct {
	socket  string
	http    http.Client
	timeout time.Duration // the longest silence of the server; must be more than keepAlive
}

// clientTimeout leaves time for a fabric with many ports on a busy machine.
const clientTimeout = 5 * keepAlive

// readBufferSize holds one batch of events, in bytes.
const readBufferSize = 64 << 10

// NewClient returns a Client for the fabric on a unix socket. It does not connect yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true, ReadBufferSize: readBufferSize}
	return &Client{socket, http.Client{Transport: transport}, clientTimeout}
}

// Status returns the state of the fabric.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, request{path: pathStatus})
}

// Ports returns the current ports, sorted by network and name.
func (c *Client) Ports(ctx context.Context) ([]Port, error) {
	return call[[]Port](ctx, c, request{path: pathPorts})
}

// Violations returns the records that match of guests that used a MAC or an address that is not their own.
func (c *Client) Violations(ctx context.Context, f ViolationFilter) ([]Violation, error) {
	return call[[]Violation](ctx, c, request{path: pathViolations, query: f.values()})
}

// ClearViolations removes the records that match.
func (c *Client) ClearViolations(ctx context.Context, f ViolationFilter) (Cleared, error) {
	return call[Cleared](ctx, c, request{method: http.MethodPost, path: pathClear, query: f.values()})
}

func (f ViolationFilter) values() url.Values {
	query := url.Values(f.Values())
	if !f.Since.IsZero() {
		query.Set(keySince, f.Since.Format(time.RFC3339Nano))
	}
	return query
}

// LookupAddress returns the binding of an IPv4 address in each network that has one.
func (c *Client) LookupAddress(ctx context.Context, addr netip.Addr) ([]Binding, error) {
	return call[[]Binding](ctx, c, request{path: pathBindings, query: url.Values{"address": {addr.String()}}})
}

// LookupMAC returns the bindings of a MAC, at most [MaxBindings].
func (c *Client) LookupMAC(ctx context.Context, mac registry.MAC) ([]Binding, error) {
	return call[[]Binding](ctx, c, request{path: pathBindings, query: url.Values{"mac": {mac.String()}}})
}

// LookupName returns the bindings with a name, at most [MaxBindings].
func (c *Client) LookupName(ctx context.Context, name string) ([]Binding, error) {
	return call[[]Binding](ctx, c, request{path: pathBindings, query: url.Values{"name": {name}}})
}

// LookupTextPrefix returns the bindings whose first address, written as text, begins with text, at most 100.
func (c *Client) LookupTextPrefix(ctx context.Context, text string) ([]Binding, error) {
	return call[[]Binding](ctx, c, request{path: pathBindings, query: url.Values{"beginning": {text}}})
}

// Explain returns the verdict on a frame and the reasons for it. A mistake in the question is a *[Problem] with the
// status 400.
func (c *Client) Explain(ctx context.Context, q explain.Question) (explain.Explanation, error) {
	// Users paste hexadecimal with separators, which may exceed the server's limit: send the digits only.
	if q.Hex != "" {
		frame, err := explain.FrameOfHex(q.Hex)
		if err != nil {
			return explain.Explanation{}, problem(http.StatusBadRequest, "%s", err)
		}
		q.Hex = hex.EncodeToString(frame)
	}
	return call[explain.Explanation](ctx, c, request{method: http.MethodPost, path: pathExplain, body: encode(q)})
}

// Reload makes the fabric read its configuration again, and returns the configuration that is then in force.
func (c *Client) Reload(ctx context.Context) (Configuration, error) {
	// The server may use all of reloadTimeout, and only then begins to write its answer.
	return call[Configuration](ctx, c, request{
		method: http.MethodPost, path: pathReload, timeout: defaultLimits.reloadTimeout + 2*defaultLimits.writeTimeout,
	})
}

// LastEvent returns the last event that matches f, if the fabric still has one.
func (c *Client) LastEvent(ctx context.Context, f event.Filter) (e Event, ok bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, c.timedOut(c.timeout))
	defer cancel()
	query := url.Values(f.Values())
	query.Set(keyLast, "1")
	body, err := c.send(ctx, request{path: pathEvents, query: query})
	if err != nil {
		return Event{}, false, timeoutOr(ctx, err)
	}
	defer body.Close()
	// The stream begins with the event, or with an empty line.
	lines := bufio.NewScanner(body)
	lines.Split(scanCompleteLines)
	switch {
	case !lines.Scan():
		return Event{}, false, timeoutOr(ctx, c.closed())
	case len(lines.Bytes()) == 0:
		return Event{}, false, nil
	}
	err = json.Unmarshal(lines.Bytes(), &e)
	return e, err == nil, err
}

// Watch streams the events that match f, and before them the last ones, at most last. It calls begin once, when the server has begun the stream, and calls the
// function that begin returns for each event. Watch ends when ctx ends, and returns nil then, or at the first error.
func (c *Client) Watch(ctx context.Context, f event.Filter, last int, begin func() (do func(Event) error, err error)) error {
	stream, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := newIdleTimer(c.timeout, func() { cancel(c.timedOut(c.timeout)) })
	defer idle.stop()
	query := url.Values(f.Values())
	if last > 0 {
		query.Set(keyLast, strconv.Itoa(last))
	}
	body, err := c.send(stream, request{path: pathEvents, query: query})
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return timeoutOr(stream, err)
	}
	defer body.Close()
	// Not before the server has answered: begin may truncate the file of an older capture.
	do, err := begin()
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(body)
	lines.Split(scanCompleteLines)
	for idle.wait(lines.Scan) {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue // a keep-alive
		}
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("reading events from %s: %w", c.socket, err)
		}
		if err := do(e); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return timeoutOr(stream, c.closed())
}

func (c *Client) closed() error { return fmt.Errorf("arpfabric on %s closed the connection", c.socket) }

// scanCompleteLines is a [bufio.SplitFunc] like [bufio.ScanLines], but drops a last line without a newline: the server
// was cut off while it wrote that line.
func scanCompleteLines(data []byte, _ bool) (advance int, token []byte, err error) {
	line, _, isComplete := bytes.Cut(data, []byte("\n"))
	if !isComplete {
		return 0, nil, nil
	}
	return len(line) + 1, line, nil
}

// An idleTimer calls a function when a wait has lasted for the timeout. Time between waits does not count.
//
// It runs two timers in sequence, each for half of the timeout. If this process was stopped and continues, the first
// timer expires at once, but the second leaves time to read the data that arrived meanwhile.
type idleTimer struct {
	half        time.Duration
	first, last *time.Timer
}

// newIdleTimer returns an idleTimer that is waiting already.
func newIdleTimer(timeout time.Duration, expired func()) *idleTimer {
	t := &idleTimer{half: timeout / 2, last: time.AfterFunc(timeout, expired)}
	t.last.Stop()
	t.first = time.AfterFunc(t.half, func() { t.last.Reset(t.half) })
	return t
}

// wait calls next, and runs the timer until next returns.
func (t *idleTimer) wait(next func() bool) bool {
	// The first timer restarts the last one when it expires, so stop them in this order.
	t.first.Reset(t.half)
	t.last.Stop()
	defer t.stop()
	return next()
}

func (t *idleTimer) stop() {
	t.first.Stop()
	t.last.Stop()
}

// A request is one HTTP request to the API.
type request struct {
	method string // GET if empty
	path   string
	query  url.Values
	body   []byte // JSON; nil for none
	allocate.Precondition

	timeout time.Duration // until the whole answer has arrived; the client's if 0
}

// call sends a request and decodes the JSON of its answer.
func call[T any](ctx context.Context, c *Client, r request) (T, error) {
	var v T
	timeout := cmp.Or(r.timeout, c.timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, c.timedOut(timeout))
	defer cancel()
	body, err := c.send(ctx, r)
	if err != nil {
		return v, timeoutOr(ctx, err)
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&v); err != nil {
		return v, timeoutOr(ctx, fmt.Errorf("reading the answer from %s: %w", c.socket, err))
	}
	return v, nil
}

// A timeoutError reports that the server sent nothing for too long.
type timeoutError string

func (e timeoutError) Error() string { return string(e) }

func (c *Client) timedOut(timeout time.Duration) error {
	return timeoutError(fmt.Sprintf("arpfabric on %s has sent nothing for %v; check whether its process is stopped or "+
		"the machine is overloaded", c.socket, timeout))
}

// timeoutOr returns the timeoutError that has ended ctx, or else err, which net/http then made of the cancellation.
func timeoutOr(ctx context.Context, err error) error {
	if timeout, ok := errors.AsType[timeoutError](context.Cause(ctx)); ok {
		return timeout
	}
	return err
}

// send sends a request and returns the body of the answer, which the caller closes. Any status except 200 is an error.
func (c *Client) send(ctx context.Context, r request) (io.ReadCloser, error) {
	address := "http://arpfabric" + r.path + "?" + r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if r.body != nil {
		req.Header.Set("Content-Type", mediaJSON)
	}
	if r.Revision != 0 {
		req.Header.Set("If-Match", etag(r.Revision))
	}
	if r.Absent {
		req.Header.Set("If-None-Match", "*")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusRequestHeaderFieldsTooLarge { // from net/http itself, as plain text
		return nil, fmt.Errorf("the request to arpfabric on %s is too long; ask for less at once", c.socket)
	}
	p := &Problem{Status: resp.StatusCode}
	if err := json.NewDecoder(resp.Body).Decode(p); err != nil || p.Detail == "" {
		return nil, fmt.Errorf("the server on %s is not arpfabric: %s", c.socket, resp.Status)
	}
	return nil, p
}

// explain adds the likely cause and the remedy to an error of the connection.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no arpfabric is running on %s; start it, or name the socket of its configuration (api.socket) "+
			"with --socket", c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to connect to arpfabric on %s; use root, or join its group (api.group)", c.socket)
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err // without the method and the URL, which mean nothing to the user
	}
	return fmt.Errorf("request to arpfabric on %s: %w", c.socket, err)
}
