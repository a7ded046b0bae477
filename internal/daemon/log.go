package daemon

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/config"
)

// maxQueued is how much of the log waits to be written, in bytes: all problems of a bad configuration have room.
const maxQueued = 1 << 20

// lastWords is how long the end of the program waits until what is queued is written.
const lastWords = time.Second

// A logQueue writes a log from a goroutine of its own: who reads the log may be slow, or stop, and guests want answers
// all the same. What there is no room for is dropped and counted.
type logQueue struct {
	out     io.WriteCloser
	own     *slog.Logger // what the queue itself has to say, straight to out
	more    chan struct{}
	stop    chan struct{}
	stopped chan struct{}

	mu      sync.Mutex
	lines   []byte
	dropped int
}

// openLog makes a log that is written to out until the function that it returns is called, at the end.
func openLog(c config.Log, out io.WriteCloser) (log *slog.Logger, end func()) {
	q := &logQueue{
		out:     out,
		own:     slog.New(newHandler(out, c.Format, slog.LevelInfo)),
		more:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	go q.run()
	return slog.New(newHandler(q, c.Format, c.Level)), q.end
}

func newHandler(to io.Writer, format config.LogFormat, level slog.Level) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	if format == config.JSON {
		return slog.NewJSONHandler(to, options)
	}
	return slog.NewTextHandler(to, options)
}

// Write queues a line. It never waits.
func (q *logQueue) Write(line []byte) (int, error) {
	q.put(line)
	select {
	case q.more <- struct{}{}:
	default: // run has been told and has not looked yet
	}
	return len(line), nil
}

// put queues a line if there is room, and none has been dropped since the queue was last emptied: there is one gap.
func (q *logQueue) put(line []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dropped > 0 || len(q.lines)+len(line) > maxQueued {
		q.dropped++
		return
	}
	q.lines = append(q.lines, line...)
}

// run writes what is queued until the end, and then the rest.
func (q *logQueue) run() {
	defer close(q.stopped)
	for {
		select {
		case <-q.more:
			q.flush()
		case <-q.stop:
			q.flush()
			return
		}
	}
}

// flush writes what is queued, line by line. That a line can't be written is nothing that could be told anywhere.
func (q *logQueue) flush() {
	lines, dropped := q.take()
	for line := range bytes.Lines(lines) {
		q.out.Write(line)
	}
	if dropped > 0 {
		q.own.Warn("lines of the log are missing here: it was not read as fast as it was written", "lines", dropped)
	}
}

// take empties the queue. The lines that were dropped came after those that it returns.
func (q *logQueue) take() (lines []byte, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines, dropped = q.lines, q.dropped
	q.lines, q.dropped = nil, 0
	return lines, dropped
}

// end returns when all is written. If that takes too long, nobody reads it, and out is closed, so that the program's
// last error doesn't wait for a reader either.
func (q *logQueue) end() {
	close(q.stop)
	select {
	case <-q.stopped:
	case <-time.After(lastWords):
		q.out.Close()
	}
}
