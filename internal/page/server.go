package page

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// The limits of the server: everybody on the network may be able to reach it.
const (
	maxConnections = 64               // at once; more clients wait
	maxHeader      = 16 << 10         // bytes
	requestTimeout = 5 * time.Second  // to read a request
	answerTimeout  = 10 * time.Second // to write an answer; the API sets its own
	idleTimeout    = 30 * time.Second // to the next request
)

//go:embed static
var static embed.FS

// Serve serves the page on l until ctx ends, and returns nil then. It closes l. api answers the page's requests for data,
// and must not change anything. The page asks for the token, unless it is "": then l may only be reached from this machine.
func Serve(ctx context.Context, l net.Listener, token string, api http.Handler, log *slog.Logger) error {
	web := http.Server{
		Handler:        handler(token, api),
		BaseContext:    func(net.Listener) context.Context { return ctx },
		ReadTimeout:    requestTimeout,
		WriteTimeout:   answerTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { web.Close() })
	defer stop()
	if err := web.Serve(netutil.LimitListener(l, maxConnections)); ctx.Err() == nil {
		return fmt.Errorf("serving the page on %s: %w", l.Addr(), err)
	}
	return nil
}

// handler serves the files of the page, and the API under /v1/, to those who may see them.
func handler(token string, api http.Handler) http.Handler {
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // the name of an embedded folder
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", api)
	mux.Handle("GET /{$}", http.FileServerFS(files))
	mux.Handle("GET /{file}", http.FileServerFS(files))
	return access{token, mux}
}
