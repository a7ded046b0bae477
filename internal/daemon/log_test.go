package daemon

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"go.uber.org/goleak"
)

// pipe returns both ends of a pipe, which are closed when the test ends.
func pipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return reader, writer
}

// TestLogIsWrittenAtTheEnd checks that end writes all lines that fit into the queue, also to a slow reader.
func TestLogIsWrittenAtTheEnd(t *testing.T) {
	const lines = 1000
	t.Cleanup(func() { goleak.VerifyNone(t) })
	reader, writer := pipe(t)
	log, end := openLog(config.Log{Level: slog.LevelInfo, Format: config.Text}, writer)
	for n := range lines {
		log.Info("a line", "n", n)
		log.Debug("below the threshold")
	}
	read := make(chan string)
	go func() {
		text, _ := io.ReadAll(reader)
		read <- string(text)
	}()
	end()
	writer.WriteString("an error\n")
	writer.Close()
	got := strings.Split(<-read, "\n")
	if len(got) != lines+2 || got[lines] != "an error" {
		t.Fatalf("%d lines, at last %q", len(got), got[len(got)-2])
	}
	for n, line := range got[:lines] {
		if !strings.HasSuffix(line, fmt.Sprintf(`level=INFO msg="a line" n=%d`, n)) {
			t.Fatalf("line %d is %s", n, line)
		}
	}
}

// TestLogThatIsReadLate logs more than the queue holds, and then reads: a line at the gap counts the missing lines.
func TestLogThatIsReadLate(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	reader, writer := pipe(t)
	log, end := openLog(config.Log{Level: slog.LevelError, Format: config.JSON}, writer)
	total := 0
	for text := strings.Repeat("x", 1000); total < 2*maxQueued/1000; total++ {
		log.Error(text, "n", total)
	}
	lines := bufio.NewReader(reader)
	next := func() (l struct {
		Msg      string
		N, Lines int
	}) {
		text, err := lines.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(text, &l)
		}
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	read, missing := 0, 0
	for read+missing < total {
		l := next()
		switch {
		case l.Lines > 0:
			missing += l.Lines
		case l.N != read+missing:
			t.Fatalf("after %d lines, %d missing, comes number %d", read, missing, l.N)
		default:
			read++
		}
	}
	if missing == 0 || read < maxQueued/1100 {
		t.Errorf("%d lines, %d missing", read, missing)
	}
	log.Error("later")
	if l := next(); l.Msg != "later" {
		t.Errorf("later: %+v", l)
	}
	end()
}

// TestLogThatIsNeverRead checks that end returns although nobody reads the log, and that a later write does not block.
func TestLogThatIsNeverRead(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	_, writer := pipe(t)
	log, end := openLog(config.Log{Format: config.Text}, writer)
	for range 1000 {
		log.Info(strings.Repeat("x", 1000))
	}
	end()
	if _, err := writer.WriteString("an error\n"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("error %v", err)
	}
}
