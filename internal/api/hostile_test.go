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
	"github.com/arpfabric/arpfabric/internal/lab"
)

// dial connects to a socket until the test ends, and sends something.
func dial(t *testing.T, socket, first string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, first)
	must(t, err)
	return conn
}

func requestFor(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: arpfabric\r\n" }

// thrownOut waits until the server has closed a connection, whatever it still says.
func thrownOut(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(lab.Patience))
	if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
		t.Errorf("still connected after %v", lab.Patience)
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func askStatus(t *testing.T, socket string) {
	t.Helper()
	if _, err := NewClient(socket).Status(context.Background()); err != nil {
		t.Errorf("somebody else asks for the status: %v", err)
	}
}

// TestSlowRequests has 64 clients send a byte of their headers every now and then, and others never ask again.
func TestSlowRequests(t *testing.T) {
	quick := usual
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

// TestUnreadEvents has as many clients as may listen and never read what they are sent, while others ask.
func TestUnreadEvents(t *testing.T) {
	quick := usual
	quick.patience = 500 * time.Millisecond
	f := &fake{}
	socket, _ := start(t, f, quick)
	var deaf []net.Conn
	for range quick.listeners {
		deaf = append(deaf, dial(t, socket, requestFor(pathEvents)+"\r\n"))
	}
	lab.Eventually(t, "all listen", func() bool { return len(f.listened()) == quick.listeners })
	lab.Eventually(t, "nobody listens any more", func() bool {
		for range eventRoom {
			f.Publish(answered())
		}
		askStatus(t, socket)
		return !f.IsHeard()
	})
	for _, conn := range deaf {
		thrownOut(t, conn)
	}
}

// mayListen reports whether there is room for one more that listens, who then goes again.
func mayListen(t *testing.T, socket string) bool {
	t.Helper()
	c := NewClient(socket)
	body, err := c.send(context.Background(), request{path: pathEvents})
	if p, ok := errors.AsType[*Problem](err); ok {
		if p.Status != http.StatusServiceUnavailable || p.Detail != "too many listen already; end one of them" {
			t.Errorf("refused with %#v", p)
		}
		return false
	}
	must(t, err)
	body.Close()
	return true
}

// TestOneListenerTooMany holds that it is refused, that the others still hear, and that it gets the place of one of
// them.
func TestOneListenerTooMany(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, usual)
	var heard []<-chan Event
	var leave func() error
	for range usual.listeners {
		events, stop := watch(t, f, socket, event.Filter{})
		heard, leave = append(heard, events), stop
	}
	if mayListen(t, socket) {
		t.Error("one more may listen")
	}
	f.Publish(answered())
	for i, events := range heard {
		if e := <-events; e.Port != "vnet2" {
			t.Errorf("listener %d heard %+v", i, e)
		}
	}
	must(t, leave())
	lab.Eventually(t, "there is room", func() bool { return mayListen(t, socket) })
}

// TestStreamOutlivesTimeouts holds that no other time ends a stream of events.
func TestStreamOutlivesTimeouts(t *testing.T) {
	quick := usual
	quick.requestTimeout, quick.idleTimeout = 500*time.Millisecond, 500*time.Millisecond
	quick.reloadTimeout, quick.patience = 0, 500*time.Millisecond
	f := &fake{}
	socket, _ := start(t, f, quick)
	events, stop := watch(t, f, socket, event.Filter{})
	for range 15 {
		time.Sleep(quick.patience / 5)
		f.Publish(answered())
		select {
		case <-events:
		case <-time.After(lab.Patience):
			t.Fatal("the stream has ended")
		}
	}
	must(t, stop())
}

// manyViolations is a list that no socket has room for.
func manyViolations() []Violation {
	all := make([]Violation, 4096)
	for i := range all {
		all[i] = spoofed
	}
	return all
}

// TestUnreadAnswers has clients ask for a large answer and not read it. Only some may, so that answers don't fill the
// memory.
func TestUnreadAnswers(t *testing.T) {
	patient := usual
	patient.large, patient.patience = 2, time.Minute
	socket, _ := start(t, &fake{violations: manyViolations()}, patient)
	c := NewClient(socket)
	var slow []net.Conn
	want := "too many clients are slow to read what they asked for; try again"
	lab.Eventually(t, "there is one too many", func() bool {
		slow = append(slow, dial(t, socket, requestFor(pathViolations)+"\r\n"))
		_, err := c.Violations(context.Background())
		p, ok := errors.AsType[*Problem](err)
		return ok && p.Status == http.StatusServiceUnavailable && p.Detail == want
	})
	askStatus(t, socket)
	for _, conn := range slow {
		conn.Close()
	}
	lab.Eventually(t, "there is room again", func() bool {
		_, err := c.Violations(context.Background())
		return err == nil
	})
}

// TestUnreadAnswersEnd holds that a client that does not read what it asked for is thrown out. The one that takes its
// place reads, but has no more time to do so.
func TestUnreadAnswersEnd(t *testing.T) {
	quick := usual
	quick.large, quick.patience = 1, 3*time.Second
	socket, _ := start(t, &fake{violations: manyViolations()}, quick)
	dial(t, socket, requestFor(pathViolations)+"\r\n")
	lab.Eventually(t, "there is room", func() bool {
		_, err := NewClient(socket).Violations(context.Background())
		return err == nil
	})
}

// TestUnreadPipeline holds the same of one that asks again and again, and reads nothing.
func TestUnreadPipeline(t *testing.T) {
	quick := usual
	quick.patience = 50 * time.Millisecond
	socket, _ := start(t, &fake{}, quick)
	conn := dial(t, socket, "")
	conn.SetWriteDeadline(time.Now().Add(lab.Patience))
	for {
		if _, err := io.WriteString(conn, requestFor(pathStatus)+"\r\n"); isTimeout(err) {
			t.Fatalf("still connected after %v", lab.Patience)
		} else if err != nil {
			return
		}
	}
}

// TestTooManyConnections holds that those above the limit wait for one that is thrown out.
func TestTooManyConnections(t *testing.T) {
	few := usual
	few.connections, few.requestTimeout = 4, time.Second
	socket, _ := start(t, &fake{}, few)
	for range few.connections {
		dial(t, socket, "")
	}
	askStatus(t, socket)
}

// TestLargeRequests holds that nobody can send more than some bytes.
func TestLargeRequests(t *testing.T) {
	socket, _ := start(t, &fake{}, usual)
	long := strings.Repeat("x", 2*usual.header)
	tests := []struct {
		name, request string
		status        int
	}{
		{"a header", requestFor(pathStatus) + "X-Long: " + long + "\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
		{"a path", requestFor("/" + long), http.StatusRequestHeaderFieldsTooLarge},
		{"a query", requestFor(pathEvents + "?port=" + long), http.StatusRequestHeaderFieldsTooLarge},
		{"a body", requestFor(pathStatus) + "Content-Length: 1000000000\r\n\r\n" + long, http.StatusRequestEntityTooLarge},
		{"a question", "POST " + pathExplain + " HTTP/1.1\r\nHost: arpfabric\r\nContent-Length: 1000000000\r\n\r\n" +
			`{"frame":"` + strings.Repeat("f", 2*usual.body), http.StatusRequestEntityTooLarge},
		{"a body of unknown length", requestFor(pathStatus) + "Transfer-Encoding: chunked\r\n\r\n5\r\nxx",
			http.StatusRequestEntityTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("unix", socket)
			must(t, err)
			defer conn.Close()
			go io.WriteString(conn, tt.request) // as far as it gets
			conn.SetReadDeadline(time.Now().Add(lab.Patience))
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			if answer.StatusCode != tt.status {
				t.Errorf("answered %s, want %d", answer.Status, tt.status)
			}
			if !answer.Close {
				t.Error("the connection goes on")
			}
			thrownOut(t, conn)
		})
	}
	askStatus(t, socket)
}

// TestNotHTTP sends what is no request.
func TestNotHTTP(t *testing.T) {
	socket, _ := start(t, &fake{}, usual)
	for _, nonsense := range []string{"\x00\x01\x02\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n\r\n\r\n"} {
		thrownOut(t, dial(t, socket, nonsense))
	}
	askStatus(t, socket)
}
