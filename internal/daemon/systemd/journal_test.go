package systemd

import (
	"bytes"
	"io"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJournalHandler(t *testing.T) {
	var out bytes.Buffer
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(NewJournalHandler(&out, func(w io.Writer) slog.Handler {
		return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime})
	}))
	log.Debug("a frame")
	log.Info("started")
	log.With("port", "vnet1").Warn("a violation")
	log.WithGroup("g").Error("broken", "line", "one\ntwo")
	const want = `<7>level=DEBUG msg="a frame"
<6>level=INFO msg=started
<4>level=WARN msg="a violation" port=vnet1
<3>level=ERROR msg=broken g.line="one\ntwo"
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("log (-want +got)\n%s", diff)
	}
}

func TestPriorityOfEachLine(t *testing.T) {
	got := string(WithPriority(slog.LevelError, []byte("one\ntwo\n")))
	if want := "<3>one\n<3>two\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
