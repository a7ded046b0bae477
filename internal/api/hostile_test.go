package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// dial connects to a socket until the test ends, and sends first.
func dial(t *testing.T, socket, first string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	labtest.Must(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, first)
	labtest.Must(t, err)
	return conn
}

func requestFor(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: arpfabric\r\n" }

// thrownOut waits until the server has closed a connection, and ignores the data before that.
func thrownOut(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(labtest.Patience))
	if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
		t.Errorf("still connected after %v", labtest.Patience)
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func askStatus(t *testing.T, socket string) {
	t.Helper()
	if _, err := NewClient(socket).Status(context.Background()); err != nil {
		t.Errorf("another client asks for the status: %v", err)
	}
}

// TestSlowRequests has 64 clients that send their headers byte by byte, and 64 that stay connected after an answer.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	quick := defaultLimits
	quick.requestTimeout, quick.idleTimeout = time.Second, time.Second
	socket, _ := start(t, &fake{}, quick)
	var slow []net.Conn
	for range 64 {
		conn := dial(t, socket, requestFor(pathStatus)+"X-Slow: ")
		go func() {
			for {
				if _, err := io.WriteString(conn, "z"); err != nil {
					return
				}
				time.Sleep(quick.requestTimeout / 10)
			}
		}()
		slow = append(slow, conn, dial(t, socket, requestFor(pathStatus)+"\r\n"))
		if len(slow) == quick.connections {
			break
		}
		askStatus(t, socket)
	}
	askStatus(t, socket)
	for _, conn := range slow {
		thrownOut(t, conn)
	}
}

// TestUnreadEvents has as many listeners as are allowed, none of which reads, while another client sends requests.
func TestUnreadEvents(t *testing.T) {
	t.Parallel()
	quick := defaultLimits
	quick.writeTimeout = 500 * time.Millisecond
	f := &fake{}
	socket, _ := start(t, f, quick)
	var conns []net.Conn
	for range quick.listeners {
		conns = append(conns, dial(t, socket, requestFor(pathEvents)+"\r\n"))
	}
	labtest.Eventually(t, "the fabric has all listeners", func() bool { return len(f.listened()) == quick.listeners })
	labtest.Eventually(t, "the fabric has no listener any more", func() bool {
		for range eventCapacity {
			f.Publish(answered())
		}
		askStatus(t, socket)
		return !f.IsHeard()
	})
	for _, conn := range conns {
		thrownOut(t, conn)
	}
}

// mayListen reports whether the server accepts one more listener. It disconnects at once.
func mayListen(t *testing.T, socket string) bool {
	t.Helper()
	c := NewClient(socket)
	body, err := c.send(context.Background(), request{path: pathEvents})
	if p, ok := errors.AsType[*Problem](err); ok {
		if p.Status != http.StatusServiceUnavailable || p.Detail != "too many clients watch events already; end one of them" {
			t.Errorf("the problem is %#v", p)
		}
		return false
	}
	labtest.Must(t, err)
	body.Close()
	return true
}

// TestOneListenerTooMany checks that the server rejects one listener above the limit, that the others still get events,
// and that a new listener can take the place of one that left.
func TestOneListenerTooMany(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, defaultLimits)
	var listeners []<-chan Event
	var leave func() error
	for range defaultLimits.listeners {
		events, stop := watch(t, f, socket, event.Filter{})
		listeners, leave = append(listeners, events), stop
	}
	if mayListen(t, socket) {
		t.Error("the server accepts a listener above the limit")
	}
	f.Publish(answered())
	for i, events := range listeners {
		if e := <-events; e.Port != "vnet2" {
			t.Errorf("listener %d got %+v", i, e)
		}
	}
	labtest.Must(t, leave())
	labtest.Eventually(t, "the server accepts a listener", func() bool { return mayListen(t, socket) })
}

// TestStreamOutlivesTimeouts checks that the timeouts of requests do not end a stream of events.
func TestStreamOutlivesTimeouts(t *testing.T) {
	t.Parallel()
	quick := defaultLimits
	quick.requestTimeout, quick.idleTimeout = 500*time.Millisecond, 500*time.Millisecond
	quick.reloadTimeout, quick.writeTimeout = 0, 500*time.Millisecond
	f := &fake{}
	socket, _ := start(t, f, quick)
	events, stop := watch(t, f, socket, event.Filter{})
	for range 15 {
		time.Sleep(quick.writeTimeout / 5)
		f.Publish(answered())
		select {
		case <-events:
		case <-time.After(labtest.Patience):
			t.Fatal("the stream has ended")
		}
	}
	labtest.Must(t, stop())
}

// manyViolations returns more than the buffer of a socket holds.
func manyViolations() []Violation {
	all := make([]Violation, 4096)
	for i := range all {
		all[i] = spoofed
	}
	return all
}

// TestUnreadAnswers has clients that ask for a large answer and do not read it. The server limits their number, so that
// answers do not fill the memory.
func TestUnreadAnswers(t *testing.T) {
	patient := defaultLimits
	patient.largeAnswers, patient.writeTimeout = 2, time.Minute
	socket, _ := start(t, &fake{violations: manyViolations()}, patient)
	c := NewClient(socket)
	var slow []net.Conn
	want := "too many clients are still reading large answers; try again"
	labtest.Eventually(t, "the server rejects a large answer", func() bool {
		slow = append(slow, dial(t, socket, requestFor(pathViolations)+"\r\n"))
		_, err := c.Violations(context.Background(), ViolationFilter{})
		p, ok := errors.AsType[*Problem](err)
		return ok && p.Status == http.StatusServiceUnavailable && p.Detail == want
	})
	askStatus(t, socket)
	for _, conn := range slow {
		conn.Close()
	}
	labtest.Eventually(t, "the server sends a large answer again", func() bool {
		_, err := c.Violations(context.Background(), ViolationFilter{})
		return err == nil
	})
}

// TestUnreadAnswersEnd checks that the server disconnects a client that does not read its answer. The client that takes
// its place has the same time, and reads.
func TestUnreadAnswersEnd(t *testing.T) {
	t.Parallel()
	quick := defaultLimits
	quick.largeAnswers, quick.writeTimeout = 1, 3*time.Second
	socket, _ := start(t, &fake{violations: manyViolations()}, quick)
	dial(t, socket, requestFor(pathViolations)+"\r\n")
	labtest.Eventually(t, "the server sends a large answer", func() bool {
		_, err := NewClient(socket).Violations(context.Background(), ViolationFilter{})
		return err == nil
	})
}

// TestUnreadPipeline checks that the server disconnects a client that sends many requests and reads no answer.
func TestUnreadPipeline(t *testing.T) {
	quick := defaultLimits
	quick.writeTimeout = 50 * time.Millisecond
	socket, _ := start(t, &fake{}, quick)
	conn := dial(t, socket, "")
	conn.SetWriteDeadline(time.Now().Add(labtest.Patience))
	for {
		if _, err := io.WriteString(conn, requestFor(pathStatus)+"\r\n"); isTimeout(err) {
			t.Fatalf("still connected after %v", labtest.Patience)
		} else if err != nil {
			return
		}
	}
}

// TestTooManyConnections checks that a connection above the limit is served once the server has closed another.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	few := defaultLimits
	few.connections, few.requestTimeout = 4, time.Second
	socket, _ := start(t, &fake{}, few)
	for range few.connections {
		dial(t, socket, "")
	}
	askStatus(t, socket)
}

// TestLargeRequests checks that the server limits each part of a request.
func TestLargeRequests(t *testing.T) {
	t.Parallel()
	socket, _ := start(t, &fake{}, defaultLimits)
	long := strings.Repeat("x", 2*defaultLimits.header)
	tests := []struct {
		name, request string
		status        int
	}{
		{"a header", requestFor(pathStatus) + "X-Long: " + long + "\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
		{"a path", requestFor("/" + long), http.StatusRequestHeaderFieldsTooLarge},
		{"a query", requestFor(pathEvents + "?port=" + long), http.StatusRequestHeaderFieldsTooLarge},
		{"a body", requestFor(pathStatus) + "Content-Length: 1000000000\r\n\r\n" + long, http.StatusRequestEntityTooLarge},
		{"a question", "POST " + pathExplain + " HTTP/1.1\r\nHost: arpfabric\r\nContent-Length: 1000000000\r\n\r\n" +
			`{"frame":"` + strings.Repeat("f", 2*defaultLimits.body), http.StatusRequestEntityTooLarge},
		{"a body of unknown length", requestFor(pathStatus) + "Transfer-Encoding: chunked\r\n\r\n5\r\nxx",
			http.StatusRequestEntityTooLarge},
	}
	t.Cleanup(func() { askStatus(t, socket) })
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("unix", socket)
			labtest.Must(t, err)
			defer conn.Close()
			go io.WriteString(conn, tt.request) // the server may close the connection before the end
			conn.SetReadDeadline(time.Now().Add(labtest.Patience))
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			labtest.Must(t, err)
			if answer.StatusCode != tt.status {
				t.Errorf("answered %s, want %d", answer.Status, tt.status)
			}
			if !answer.Close {
				t.Error("the server keeps the connection")
			}
			thrownOut(t, conn)
		})
	}
}

// TestNotHTTP sends data that is not an HTTP request.
func TestNotHTTP(t *testing.T) {
	socket, _ := start(t, &fake{}, defaultLimits)
	for _, nonsense := range []string{"\x00\x01\x02\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n\r\n\r\n"} {
		thrownOut(t, dial(t, socket, nonsense))
	}
	askStatus(t, socket)
}
