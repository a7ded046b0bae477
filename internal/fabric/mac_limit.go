package fabric

import (
	"maps"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// A macLimit limits how often something may happen to a MAC. Only the loop uses it.
type macLimit struct {
	most   int // within a period
	period time.Duration
	counts map[registry.MAC]macCount
}

// macCount is how often it has happened since a time.
type macCount struct {
	since time.Time
	n     int
}

// manyCounts is when a macLimit looks for counts that it no longer needs.
const manyCounts = 1024

func newMACLimit(most int, period time.Duration) *macLimit {
	return &macLimit{most, period, map[registry.MAC]macCount{}}
}

// allow counts it, and reports whether it may happen.
func (l *macLimit) allow(mac registry.MAC, now time.Time) bool {
	isOver := func(_ registry.MAC, c macCount) bool { return now.Sub(c.since) >= l.period }
	if len(l.counts) >= manyCounts {
		maps.DeleteFunc(l.counts, isOver)
	}
	c := l.counts[mac]
	if isOver(mac, c) {
		c = macCount{since: now}
	}
	c.n++
	l.counts[mac] = c
	return c.n <= l.most
}
