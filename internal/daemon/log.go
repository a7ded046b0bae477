package daemon

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/daemon/systemd"
)

// maxQueued is the most that the queue holds, in bytes: enough for all mistakes of a configuration.
const maxQueued = 1 << 20

// drainTimeout is how long the end of the program waits for the queue to be written.
const drainTimeout = time.Second

// A logQueue writes a log from a goroutine of its own, so that a slow or stopped reader of the log does not delay the
// answers to guests. It drops and counts the lines that do not fit into the queue.
type logQueue struct {
	out     io.WriteCloser
	direct  *slog.Logger  // writes to out without the queue
	wake    chan struct{} // has a value if lines are waiting
	stop    chan struct{}
	stopped chan struct{}

	mu      sync.Mutex
	lines   []byte
	dropped int // since the queue was last emptied
}

// openLog returns a log that writes to out. Call end at the end of the program; it writes the queue, and may close out.
func openLog(c config.Log, out io.WriteCloser) (log *slog.Logger, end func()) {
	q := &logQueue{
		out:     out,
		direct:  slog.New(newHandler(out, c.Format, slog.LevelInfo)),
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	go q.run()
	return slog.New(newHandler(q, c.Format, c.Level)), q.end
}

func newHandler(to io.Writer, format config.LogFormat, level slog.Level) slog.Handler {
	newFormat := func(to io.Writer) slog.Handler {
		options := &slog.HandlerOptions{Level: level}
		if format == config.JSON {
			return slog.NewJSONHandler(to, options)
		}
		return slog.NewTextHandler(to, options)
	}
	if systemd.StderrIsJournal() {
		return systemd.NewJournalHandler(to, newFormat)
	}
	return newFormat(to)
}

// Write queues a line. It never blocks.
func (q *logQueue) Write(line []byte) (int, error) {
	q.put(line)
	select {
	case q.wake <- struct{}{}:
	default: // run has not seen the last value yet, and will find this line too
	}
	return len(line), nil
}

// put queues a line, or drops it if the queue is full.
func (q *logQueue) put(line []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	// After the first dropped line drop all, also a short one that would fit: the log then has one gap, at a known place.
	if q.dropped > 0 || len(q.lines)+len(line) > maxQueued {
		q.dropped++
		return
	}
	q.lines = append(q.lines, line...)
}

// run writes the queue until stop is closed, and then the rest of it.
func (q *logQueue) run() {
	defer close(q.stopped)
	for {
		select {
		case <-q.wake:
			q.flush()
		case <-q.stop:
			q.flush()
			return
		}
	}
}

// flush writes the queue line by line. It ignores errors: the log is the only place to report them.
func (q *logQueue) flush() {
	lines, dropped := q.take()
	for line := range bytes.Lines(lines) {
		_, _ = q.out.Write(line)
	}
	if dropped > 0 {
		q.direct.Warn("lines of the log are missing here: the reader of the log was too slow", "lines", dropped)
	}
}

// take empties the queue. The dropped lines came after the lines that it returns.
func (q *logQueue) take() (lines []byte, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines, dropped = q.lines, q.dropped
	q.lines, q.dropped = nil, 0
	return lines, dropped
}

// end waits until the queue is written. After drainTimeout it assumes that the reader has stopped, and closes out, so
// that writing the program's last error to it fails at once and does not block.
func (q *logQueue) end() {
	close(q.stop)
	select {
	case <-q.stopped:
	case <-time.After(drainTimeout):
		q.out.Close()
	}
}
