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

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve returns the body of a scrape of g.
func serve(t *testing.T, g prometheus.Gatherer) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	handler(g, alive, slog.New(slog.NewTextHandler(t.Output(), nil))).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.Bytes()
}

func TestPathsAndMethods(t *testing.T) {
	h := handler(newRegistry(fixed(sample(t))), alive, slog.New(slog.DiscardHandler))
	for _, tt := range []struct {
		method, target string
		want           int
	}{
		{"GET", "/metrics", 200}, {"HEAD", "/metrics", 200}, {"POST", "/metrics", 405}, {"DELETE", "/metrics", 405},
		{"GET", "/", 200}, {"GET", "/healthz", 200}, {"POST", "/healthz", 405}, {"GET", "/health", 404},
		{"GET", "/metrics/", 404}, {"GET", "/debug/pprof/", 404},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.target, nil))
		if w.Code != tt.want {
			t.Errorf("%s %s: status %d, want %d", tt.method, tt.target, w.Code, tt.want)
		}
	}
}

// TestProcessMetrics checks that the metrics of the process and the Go runtime are exported.
func TestProcessMetrics(t *testing.T) {
	body := serve(t, newRegistry(fixed(sample(t))))
	for _, name := range []string{"process_resident_memory_bytes", "go_goroutines"} {
		if !bytes.Contains(body, []byte("\n"+name+" ")) {
			t.Errorf("%s is missing", name)
		}
	}
}

// A slowGatherer counts its calls, and the most calls at once.
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

func TestOneGatheringAtATime(t *testing.T) {
	g := &slowGatherer{takes: 20 * time.Millisecond}
	c := &cached{gatherer: g}
	var scrapes sync.WaitGroup
	for range 16 {
		scrapes.Go(func() { c.Gather() })
	}
	scrapes.Wait()
	if g.most.Load() != 1 {
		t.Errorf("%d gathered at once", g.most.Load())
	}
}

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &slowGatherer{takes: 3 * time.Second, err: errors.New("some")}
		c := &cached{gatherer: g}
		for _, tt := range []struct {
			after time.Duration
			want  int32
		}{{0, 1}, {0, 1}, {cacheTime - 1, 1}, {1, 2}, {0, 2}, {time.Hour, 3}} {
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

// A stuckGatherer returns when its channel is closed.
type stuckGatherer chan struct{}

func (g stuckGatherer) Gather() ([]*dto.MetricFamily, error) {
	<-g
	return nil, nil
}

func TestTooManyRequests(t *testing.T) {
	g := make(stuckGatherer)
	h := handler(g, alive, slog.New(slog.DiscardHandler))
	codes := make(chan int)
	for range maxRequests + 1 {
		go func() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			codes <- w.Code
		}()
	}
	if code := <-codes; code != http.StatusServiceUnavailable {
		t.Errorf("status %d above the limit, want %d", code, http.StatusServiceUnavailable)
	}
	close(g)
	for range maxRequests {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("status %d, want %d", code, http.StatusOK)
		}
	}
}

// TestGatherError checks that an error of one metric is logged, and that the others are served.
func TestGatherError(t *testing.T) {
	f := sample(t)
	f.Ports = append(f.Ports, f.Ports[1]) // the same series twice
	var log bytes.Buffer
	w := httptest.NewRecorder()
	h := handler(newRegistry(fixed(f)), alive, slog.New(slog.NewTextHandler(&log, nil)))
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "arpfabric_config_generation 8\n") {
		t.Errorf("status %d:\n%s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "vnet1") {
		t.Errorf("log: %s", &log)
	}
}

// TestServe serves a scrape while other clients hold idle connections, and checks that Serve ends and closes them.
func TestServe(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "metrics.sock")) // tests do not use the machine's network
	labtest.Must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, fixed(manyPorts(1000)), alive, slog.New(slog.DiscardHandler)) }()
	for range 16 {
		openIdle(t, l.Addr(), "")
		openIdle(t, l.Addr(), "GET /metrics HT")
		openIdle(t, l.Addr(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") // the answer is more than sockets hold
	}
	dial := func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", l.Addr().String()) }
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	answer, err := client.Get("http://metrics/metrics")
	labtest.Must(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	labtest.Must(t, err)
	if want := `arpfabric_refused_frames_total{network="lab",port="vnet999"} 0`; !bytes.Contains(body, []byte(want)) {
		t.Errorf("status %d, without %s", answer.StatusCode, want)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// openIdle opens a connection, sends text, and keeps the connection open until the test ends.
func openIdle(t *testing.T, addr net.Addr, text string) {
	t.Helper()
	c, err := net.Dial(addr.Network(), addr.String())
	labtest.Must(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = io.WriteString(c, text)
	labtest.Must(t, err)
}
