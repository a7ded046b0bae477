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

// The limits of a server.
const (
	maxConnections = 64
	maxRequests    = 32       // at once; what is more is told to come back (503)
	maxHeader      = 16 << 10 // bytes
	headerTimeout  = 5 * time.Second
	requestTimeout = 5 * time.Second  // to read a request
	answerTimeout  = 10 * time.Second // to gather and to write an answer
	idleTimeout    = 30 * time.Second
)

// path is where Prometheus looks when nothing else is said.
const path = "/metrics"

// Serve serves what read returns, and what is known of the process, on l until ctx ends, and returns nil then. read is
// not called by two goroutines at once.
func Serve(ctx context.Context, l net.Listener, read func() Figures, log *slog.Logger) error {
	web := http.Server{
		Handler:           handler(newRegistry(read), log),
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

func newRegistry(read func() Figures) *prometheus.Registry {
	r := prometheus.NewRegistry()
	process := collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})
	r.MustRegister(collector{read}, collectors.NewGoCollector(), process)
	return r
}

// handler serves as much of what is gathered as can be told; what can't is logged.
func handler(g prometheus.Gatherer, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+path, promhttp.HandlerFor(&cached{gatherer: g}, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxRequests,
	}))
	return mux
}
