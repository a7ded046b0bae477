package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// shelfLife is how long what was gathered is served to others: counting takes the kernel a while with many ports.
const shelfLife = time.Second

// A cached Gatherer gathers for one at a time, and gives all who ask soon afterwards the same, which nobody may
// change.
type cached struct {
	gatherer prometheus.Gatherer

	mu       sync.Mutex
	at       time.Time // that gathering ended
	families []*dto.MetricFamily
	err      error
}

// Gather implements prometheus.Gatherer.
func (c *cached) Gather() ([]*dto.MetricFamily, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() || time.Since(c.at) >= shelfLife {
		c.families, c.err = c.gatherer.Gather()
		c.at = time.Now()
	}
	return c.families, c.err
}
