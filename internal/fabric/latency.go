package fabric

import (
	"slices"
	"sync/atomic"
	"time"
)

// latencyBounds are how long an answer may take at most to be counted in each bucket but the last, which has none.
var latencyBounds = [...]time.Duration{
	5 * time.Microsecond, 10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	100 * time.Millisecond, time.Second,
}

// latency counts answers by how long they took. Counting allocates nothing.
type latency struct {
	counts [len(latencyBounds) + 1]atomic.Uint64
	sum    atomic.Uint64 // nanoseconds
}

// add counts so many answers, which took equally long.
func (l *latency) add(answers int, took time.Duration) {
	bucket, _ := slices.BinarySearch(latencyBounds[:], took)
	l.counts[bucket].Add(uint64(answers))
	l.sum.Add(uint64(answers) * uint64(took))
}

// Latency is how long answers took.
type Latency struct {
	Bounds []time.Duration // how long at most, ascending
	Counts []uint64        // of answers above the bound before and not above this one; the last has no bound
	Sum    time.Duration
}

// Latency returns how long answers took since the fabric was made: from when the batch of frames was read that the
// request was in until all answers to that batch had been handed to the kernel. What came before, such as the time in
// the socket that frames are read from, is not in it, and neither are the host's own requests and those of a sidecar's
// guest, which are answered in the neighbour table.
func (f *Fabric) Latency() Latency {
	l := Latency{Bounds: slices.Clone(latencyBounds[:]), Sum: time.Duration(f.latency.sum.Load())}
	for i := range f.latency.counts {
		l.Counts = append(l.Counts, f.latency.counts[i].Load())
	}
	return l
}
