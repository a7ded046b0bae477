package metrics

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve returns what a scrape of g gets.
func serve(t *testing.T, g prometheus.Gatherer) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	handler(g, slog.New(slog.NewTextHandler(t.Output(), nil))).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.Bytes()
}

func TestPathsAndMethods(t *testing.T) {
	h := handler(newRegistry(fixed(sample(t))), slog.New(slog.DiscardHandler))
	for _, tt := range []struct {
		method, target string
		want           int
	}{
		{"GET", "/metrics", 200}, {"HEAD", "/metrics", 200}, {"POST", "/metrics", 405}, {"DELETE", "/metrics", 405},
		{"GET", "/", 404}, {"GET", "/metrics/", 404}, {"GET", "/debug/pprof/", 404},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.target, nil))
		if w.Code != tt.want {
			t.Errorf("%s %s: status %d, want %d", tt.method, tt.target, w.Code, tt.want)
		}
	}
}

// TestProcessIsExportedToo: memory and the like.
func TestProcessIsExportedToo(t *testing.T) {
	body := serve(t, newRegistry(fixed(sample(t))))
	for _, name := range []string{"process_resident_memory_bytes", "go_goroutines"} {
		if !bytes.Contains(body, []byte("\n"+name+" ")) {
			t.Errorf("there is no %s", name)
		}
	}
}

// A slowGatherer counts how often it gathers, and how many gather at once at most.
type slowGatherer struct {
	takes                time.Duration
	calls, current, most atomic.Int32
	err                  error
}

func (g *slowGatherer) Gather() ([]*dto.MetricFamily, error) {
	g.calls.Add(1)
	if n := g.current.Add(1); n > g.most.Load() {
		g.most.Store(n)
	}
	time.Sleep(g.takes)
	g.current.Add(-1)
	return nil, g.err
}

func TestOneGathersAtATime(t *testing.T) {
	g := &slowGatherer{takes: 20 * time.Millisecond}
	c := &cached{gatherer: g}
	var asking sync.WaitGroup
	for range 16 {
		asking.Go(func() { c.Gather() })
	}
	asking.Wait()
	if g.most.Load() != 1 {
		t.Errorf("%d gathered at once", g.most.Load())
	}
}

func TestManyWhoAskCostOneGathering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &slowGatherer{takes: 3 * time.Second, err: errors.New("some")}
		c := &cached{gatherer: g}
		for _, tt := range []struct {
			after time.Duration
			want  int32
		}{{0, 1}, {0, 1}, {shelfLife - 1, 1}, {1, 2}, {0, 2}, {time.Hour, 3}} {
			time.Sleep(tt.after)
			if _, err := c.Gather(); err != g.err {
				t.Errorf("error %v, want %v", err, g.err)
			}
			if g.calls.Load() != tt.want {
				t.Errorf("gathered %d times, want %d", g.calls.Load(), tt.want)
			}
		}
	})
}

// A stuckGatherer gathers when it may.
type stuckGatherer chan struct{}

func (g stuckGatherer) Gather() ([]*dto.MetricFamily, error) {
	<-g
	return nil, nil
}

func TestTooManyAreToldToComeBack(t *testing.T) {
	g := make(stuckGatherer)
	h := handler(g, slog.New(slog.DiscardHandler))
	codes := make(chan int)
	for range maxRequests + 1 {
		go func() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			codes <- w.Code
		}()
	}
	if code := <-codes; code != http.StatusServiceUnavailable {
		t.Errorf("status %d for one too many, want %d", code, http.StatusServiceUnavailable)
	}
	close(g)
	for range maxRequests {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("status %d, want %d", code, http.StatusOK)
		}
	}
}

// TestWhatCannotBeGatheredIsLogged, and the rest is served.
func TestWhatCannotBeGatheredIsLogged(t *testing.T) {
	f := sample(t)
	f.Ports = append(f.Ports, f.Ports[1]) // the same series twice
	var log bytes.Buffer
	w := httptest.NewRecorder()
	h := handler(newRegistry(fixed(f)), slog.New(slog.NewTextHandler(&log, nil)))
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "arpfabric_config_generation 8\n") {
		t.Errorf("status %d:\n%s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "vnet1") {
		t.Errorf("log: %s", &log)
	}
}

// TestServeUntilTheEnd serves on a socket, also while others hold connections that they do not use, and ends with
// them.
func TestServeUntilTheEnd(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "metrics.sock")) // the machine's network is not a test's
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, fixed(manyPorts(5000)), slog.New(slog.DiscardHandler)) }()
	for range 16 {
		openIdle(t, l.Addr(), "")
		openIdle(t, l.Addr(), "GET /metrics HT")
		openIdle(t, l.Addr(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") // the answer is more than sockets hold
	}
	dial := func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", l.Addr().String()) }
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	answer, err := client.Get("http://metrics/metrics")
	must(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	if want := `arpfabric_refused_frames_total{network="lab",port="vnet4999"} 0`; !bytes.Contains(body, []byte(want)) {
		t.Errorf("status %d, without %s", answer.StatusCode, want)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// openIdle opens a connection, says so much and no more, and keeps it until the test ends.
func openIdle(t *testing.T, addr net.Addr, text string) {
	t.Helper()
	c, err := net.Dial(addr.Network(), addr.String())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = io.WriteString(c, text)
	must(t, err)
}
