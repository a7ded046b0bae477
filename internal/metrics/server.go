package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

// The limits of the server: everybody on the network may be able to reach it.
const (
	maxConnections = 64               // at once; more clients wait
	maxRequests    = 32               // at once; more get 503
	maxHeader      = 16 << 10         // bytes
	headerTimeout  = 5 * time.Second  // to read the headers of a request
	requestTimeout = 5 * time.Second  // to read a request
	answerTimeout  = 10 * time.Second // to gather and to write an answer
	idleTimeout    = 30 * time.Second // to the next request
)

// path is the default path of a scrape in Prometheus.
const path = "/metrics"

// Serve serves the values that read returns, and metrics of the Go runtime and the process, on l until ctx ends, and
// returns nil then. It closes l. It calls read from one goroutine at a time. alive returns nil, or says what is stuck.
func Serve(ctx context.Context, l net.Listener, read func() Snapshot, alive Alive, log *slog.Logger) error {
	web := http.Server{
		Handler:           handler(newRegistry(read), alive, log),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { web.Close() })
	defer stop()
	if err := web.Serve(netutil.LimitListener(l, maxConnections)); ctx.Err() == nil {
		return fmt.Errorf("serving metrics on %s: %w", l.Addr(), err)
	}
	return nil
}

func newRegistry(read func() Snapshot) *prometheus.Registry {
	r := prometheus.NewRegistry()
	process := collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})
	r.MustRegister(collector{read}, collectors.NewGoCollector(), process)
	return r
}

// handler serves GET /metrics, /healthz, and / with links to these. It logs the metrics that cannot be gathered, and
// serves the others.
func handler(g prometheus.Gatherer, alive Alive, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+path, promhttp.HandlerFor(&cached{gatherer: g}, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxRequests,
	}))
	mux.Handle("GET "+healthPath, &health{alive: alive})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) })
	return mux
}

const page = `<!DOCTYPE html>
<html lang="en">
<title>arpfabric</title>
<h1>arpfabric</h1>
<p><a href="` + path + `">metrics</a>
<p><a href="` + healthPath + `">health</a>
</html>
`
