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
	"syscall"
	"time"

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/responder"
)

// Client asks a running fabric. Its errors say what to do; what the fabric refused is a *[Problem] among them.
type Client struct {
	socket   string
	http     http.Client
	patience time.Duration // to hear something; a fabric that lives gives a sign more often than that
}

// clientPatience is long enough for a fabric with many ports on a busy machine.
const clientPatience = 5 * sign

// readBuffer has room for the events that arrive at once, in bytes.
const readBuffer = 64 << 10

// NewClient makes a Client for the fabric on a unix socket.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true, ReadBufferSize: readBuffer}
	return &Client{socket, http.Client{Transport: transport}, clientPatience}
}

// Status asks how the fabric is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, request{path: pathStatus})
}

// Ports asks for the ports, by network and name.
func (c *Client) Ports(ctx context.Context) ([]Port, error) {
	return ask[[]Port](ctx, c, request{path: pathPorts})
}

// Violations asks who used an identity that is not theirs.
func (c *Client) Violations(ctx context.Context) ([]Violation, error) {
	return ask[[]Violation](ctx, c, request{path: pathViolations})
}

// LookupAddress asks for the binding that each network has for an address.
func (c *Client) LookupAddress(ctx context.Context, addr netip.Addr) ([]Binding, error) {
	return ask[[]Binding](ctx, c, request{path: pathBindings, query: url.Values{"address": {addr.String()}}})
}

// LookupMAC asks for the bindings of a MAC.
func (c *Client) LookupMAC(ctx context.Context, mac responder.MAC) ([]Binding, error) {
	return ask[[]Binding](ctx, c, request{path: pathBindings, query: url.Values{"mac": {mac.String()}}})
}

// LookupBeginning asks for bindings whose first address, as text, begins so: for the first 100 of all networks.
func (c *Client) LookupBeginning(ctx context.Context, text string) ([]Binding, error) {
	return ask[[]Binding](ctx, c, request{path: pathBindings, query: url.Values{"beginning": {text}}})
}

// Explain asks what becomes of a frame, and why.
func (c *Client) Explain(ctx context.Context, q explain.Question) (explain.Explanation, error) {
	if q.Hex != "" { // as tcpdump prints it, a frame is three times as long
		frame, err := explain.FrameOfHex(q.Hex)
		if err != nil {
			return explain.Explanation{}, problem(http.StatusBadRequest, "%s", err)
		}
		q.Hex = hex.EncodeToString(frame)
	}
	return ask[explain.Explanation](ctx, c, request{method: http.MethodPost, path: pathExplain, body: encode(q)})
}

// Reload makes the fabric read its configuration again, and returns what is in force then.
func (c *Client) Reload(ctx context.Context) (Configuration, error) {
	return ask[Configuration](ctx, c, request{
		method: http.MethodPost, path: pathReload, patience: usual.reloadTimeout + 2*usual.patience,
	})
}

// Watch calls begin when the fabric has begun to tell of events that fit a filter, and what that returns for each of
// them, until ctx ends, when it returns nil, or one of these returns an error.
func (c *Client) Watch(ctx context.Context, f event.Filter, begin func() (do func(Event) error, err error)) error {
	heard, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	life := newLifeline(c.patience, func() { giveUp(c.silent(c.patience)) })
	defer life.stop()
	body, err := c.send(heard, request{path: pathEvents, query: f.Values()})
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return silenceOr(heard, err)
	}
	defer body.Close()
	do, err := begin()
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(body)
	lines.Split(wholeLines)
	for life.wait(lines.Scan) {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue // a sign of life
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
	return silenceOr(heard, fmt.Errorf("the fabric on %s has gone", c.socket))
}

// wholeLines leaves out a line that has no end, as the other side has gone. It is a [bufio.SplitFunc].
func wholeLines(data []byte, _ bool) (advance int, token []byte, err error) {
	line, _, isWhole := bytes.Cut(data, []byte("\n"))
	if !isWhole {
		return 0, nil, nil
	}
	return len(line) + 1, line, nil
}

// A lifeline gives up when nothing has come for some time. Time in which nobody waits does not count.
//
// It takes two timers, one after the other. When this program was stopped and goes on, the first has run out, but what
// has come meanwhile is still to be read.
type lifeline struct {
	half        time.Duration
	first, last *time.Timer
}

// newLifeline makes a lifeline that waits from now on.
func newLifeline(patience time.Duration, giveUp func()) *lifeline {
	l := &lifeline{half: patience / 2, last: time.AfterFunc(patience, giveUp)}
	l.last.Stop()
	l.first = time.AfterFunc(l.half, func() { l.last.Reset(l.half) })
	return l
}

// wait waits while next does.
func (l *lifeline) wait(next func() bool) bool {
	l.first.Reset(l.half)
	l.last.Stop()
	defer l.stop()
	return next()
}

func (l *lifeline) stop() {
	l.first.Stop()
	l.last.Stop()
}

// A request is what is asked or told.
type request struct {
	method string // GET where this is empty
	path   string
	query  url.Values
	body   []byte

	patience time.Duration // to get the answer; the client's where this is 0
}

func ask[T any](ctx context.Context, c *Client, r request) (T, error) {
	var v T
	patience := cmp.Or(r.patience, c.patience)
	ctx, cancel := context.WithTimeoutCause(ctx, patience, c.silent(patience))
	defer cancel()
	body, err := c.send(ctx, r)
	if err != nil {
		return v, silenceOr(ctx, err)
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&v); err != nil {
		return v, silenceOr(ctx, fmt.Errorf("reading the answer from %s: %w", c.socket, err))
	}
	return v, nil
}

// A silentError says that the fabric does not answer.
type silentError string

func (e silentError) Error() string { return string(e) }

func (c *Client) silent(patience time.Duration) error {
	return silentError(fmt.Sprintf("the arpfabric on %s does not answer: it has said nothing for %v; look whether its "+
		"process is stopped, or the machine overloaded", c.socket, patience))
}

// silenceOr returns the silentError that has ended ctx, or else err.
func silenceOr(ctx context.Context, err error) error {
	if silence, ok := errors.AsType[silentError](context.Cause(ctx)); ok {
		return silence
	}
	return err
}

// send returns the body of a good answer.
func (c *Client) send(ctx context.Context, r request) (io.ReadCloser, error) {
	address := "http://arpfabric" + r.path + "?" + r.query.Encode()
	asked, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if r.body != nil {
		asked.Header.Set("Content-Type", mediaJSON)
	}
	answer, err := c.http.Do(asked)
	if err != nil {
		return nil, c.explain(err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusRequestHeaderFieldsTooLarge { // which is said before anybody looks at the path
		return nil, fmt.Errorf("the arpfabric on %s takes no question that is so long; ask for less at once", c.socket)
	}
	p := &Problem{Status: answer.StatusCode}
	if err := json.NewDecoder(answer.Body).Decode(p); err != nil || p.Detail == "" {
		return nil, fmt.Errorf("what answers on %s is not arpfabric: %s", c.socket, answer.Status)
	}
	return nil, p
}

// explain says why nobody could be asked, and what to do.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no arpfabric is running on %s; start it, or name the socket of its configuration (api.socket) "+
			"with --socket", c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("you may not ask the arpfabric on %s; be root or in its group (api.group)", c.socket)
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return fmt.Errorf("asking the arpfabric on %s: %w", c.socket, err)
}
