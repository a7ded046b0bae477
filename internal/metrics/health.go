package metrics

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// healthPath is where many programs serve their health.
const healthPath = "/healthz"

// Alive returns nil if the fabric works, and an error that says what is stuck if it does not before ctx ends.
type Alive func(ctx context.Context) error

// aliveTimeout is how long the fabric may take.
const aliveTimeout = 5 * time.Second

// health serves whether the fabric is alive: 200 and ok, or 503 and what is stuck. It asks once in cacheTime, whatever the
// number of requests.
type health struct {
	alive Alive

	mu  sync.Mutex
	at  time.Time // the end of the last call of alive
	err error
}

// ServeHTTP implements [http.Handler].
func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := h.ask(r.Context()); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (h *health) ask(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at.IsZero() || time.Since(h.at) >= cacheTime {
		// Without the cancellation of this request: others get the same result.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), aliveTimeout)
		defer cancel()
		h.err = h.alive(ctx)
		h.at = time.Now()
	}
	return h.err
}
