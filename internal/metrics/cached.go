package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// cacheTime is how long a result is served again. If there are many ports, reading the kernel's counters takes a while.
const cacheTime = time.Second

// A cached Gatherer runs one gathering at a time, and returns its result, also an error, to every call within
// cacheTime. Callers share the result and must not change it.
type cached struct {
	gatherer prometheus.Gatherer

	mu       sync.Mutex
	at       time.Time // the end of the last gathering
	families []*dto.MetricFamily
	err      error
}

// Gather implements prometheus.Gatherer.
func (c *cached) Gather() ([]*dto.MetricFamily, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() || time.Since(c.at) >= cacheTime {
		c.families, c.err = c.gatherer.Gather()
		c.at = time.Now() // afterwards, as gathering may take longer than cacheTime
	}
	return c.families, c.err
}
