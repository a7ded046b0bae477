package systemd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/coreos/go-systemd/v22/journal"
)

// StderrIsJournal reports whether journald reads standard error. It then takes the priority of a line from its beginning
// (sd-daemon(3)).
func StderrIsJournal() bool {
	is, err := journal.StderrIsJournalStream()
	return is && err == nil // JOURNAL_STREAM may be someone else's
}

// priorities are the levels that journald knows, in the order of their use.
var priorities = []struct {
	from     slog.Level
	priority journal.Priority
}{
	{slog.LevelError, journal.PriErr},
	{slog.LevelWarn, journal.PriWarning},
	{slog.LevelInfo, journal.PriInfo},
}

func priorityOf(level slog.Level) journal.Priority {
	for _, p := range priorities {
		if level >= p.from {
			return p.priority
		}
	}
	return journal.PriDebug
}

// WithPriority returns text with the priority of a level at the beginning of each line.
func WithPriority(level slog.Level, text []byte) []byte {
	prefix := fmt.Appendf(nil, "<%d>", priorityOf(level))
	var out []byte
	for line := range bytes.Lines(text) {
		out = append(append(out, prefix...), line...)
	}
	return out
}

// A journalHandler writes lines with their priorities. It has a handler for each level, with a writer of its own.
type journalHandler map[journal.Priority]slog.Handler

// NewJournalHandler returns a handler that writes to w what the handlers that make returns write, each line with its
// priority.
func NewJournalHandler(w io.Writer, make func(io.Writer) slog.Handler) slog.Handler {
	h := journalHandler{}
	for _, level := range []slog.Level{slog.LevelError, slog.LevelWarn, slog.LevelInfo, slog.LevelDebug} {
		h[priorityOf(level)] = make(priorityWriter{w, level})
	}
	return h
}

type priorityWriter struct {
	to    io.Writer
	level slog.Level
}

func (w priorityWriter) Write(text []byte) (int, error) {
	if _, err := w.to.Write(WithPriority(w.level, text)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// Enabled implements [slog.Handler].
func (h journalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h[priorityOf(level)].Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	return h[priorityOf(r.Level)].Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.each(func(one slog.Handler) slog.Handler { return one.WithAttrs(attrs) })
}

// WithGroup implements [slog.Handler].
func (h journalHandler) WithGroup(name string) slog.Handler {
	return h.each(func(one slog.Handler) slog.Handler { return one.WithGroup(name) })
}

func (h journalHandler) each(change func(slog.Handler) slog.Handler) slog.Handler {
	changed := journalHandler{}
	for priority, one := range h {
		changed[priority] = change(one)
	}
	return changed
}
