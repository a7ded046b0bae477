package fabric

import (
	"slices"
	"sync/atomic"
	"time"
)

// latencyBounds are the upper bounds, inclusive, of the buckets. The last bucket has no upper bound.
var latencyBounds = [...]time.Duration{
	5 * time.Microsecond, 10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	100 * time.Millisecond, time.Second,
}

// latency is a histogram of the time that answers took. Counting allocates nothing.
type latency struct {
	counts [len(latencyBounds) + 1]atomic.Uint64
	sum    atomic.Uint64 // nanoseconds
}

// add counts a number of answers that took the same time.
func (l *latency) add(answers int, took time.Duration) {
	bucket, _ := slices.BinarySearch(latencyBounds[:], took)
	l.counts[bucket].Add(uint64(answers))
	l.sum.Add(uint64(answers) * uint64(took))
}

// Latency is a histogram of the time that answers took.
type Latency struct {
	Bounds []time.Duration // upper bounds of the buckets, inclusive, ascending
	Counts []uint64        // answers in each bucket; one more than Bounds, as the last bucket has no upper bound
	Sum    time.Duration   // of all answers
}

// Latency returns the times that answers took since the fabric was made: from the end of the read of the request's
// batch until the kernel had taken all answers to that batch. They do not include the time that the request was queued
// in the socket before. The answers to the host, and to a sidecar's guest, are not counted: these are neighbour
// entries.
func (f *Fabric) Latency() Latency {
	l := Latency{Bounds: slices.Clone(latencyBounds[:]), Sum: time.Duration(f.latency.sum.Load())}
	for i := range f.latency.counts {
		l.Counts = append(l.Counts, f.latency.counts[i].Load())
	}
	return l
}
