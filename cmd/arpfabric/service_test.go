package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"golang.org/x/sys/unix"
)

// A manager is the socket on which systemd receives notifications.
type manager struct{ *net.UnixConn }

func newManager(t *testing.T) manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	labtest.Must(t, err)
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return manager{conn}
}

// expect waits for a message that begins with want, and ignores keep-alives.
func (m manager) expect(t *testing.T, want string) {
	t.Helper()
	labtest.Must(t, m.SetReadDeadline(time.Now().Add(labtest.Patience)))
	message := make([]byte, 1024)
	for {
		n, err := m.Read(message)
		labtest.Must(t, err)
		switch got := string(message[:n]); {
		case strings.HasPrefix(got, want):
			return
		case got != "WATCHDOG=1":
			t.Fatalf("systemd receives %q, want %q", got, want)
		}
	}
}

func TestSystemdIsNotified(t *testing.T) {
	newStage(t)
	m := newManager(t)
	t.Setenv("WATCHDOG_USEC", "500000")
	path := labtest.TempFile(t, "arpfabric.yaml", onBridge(""))
	p := arpfabric(t, nil, "run", "--config", path)
	m.expect(t, "READY=1\nSTATUS=1 network, 3 bindings")
	m.expect(t, "WATCHDOG=1")

	labtest.Must(t, p.Process.Signal(unix.SIGHUP))
	m.expect(t, "RELOADING=1\nMONOTONIC_USEC=")
	m.expect(t, "READY=1\nSTATUS=1 network, 3 bindings")
	m.expect(t, "WATCHDOG=1")

	next := path + ".next"
	labtest.Write(t, next, "networks: {}\n")
	labtest.Must(t, os.Rename(next, path))
	m.expect(t, "RELOADING=1\n")
	m.expect(t, "READY=1\nSTATUS=1 network, 3 bindings; the configuration has changed and could not be reloaded")

	labtest.Must(t, p.Process.Signal(unix.SIGTERM))
	m.expect(t, "STOPPING=1")
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.output.String())
	}
}

// TestJournalPriorities checks that journald learns the level of each line, and that no other reader sees it.
func TestJournalPriorities(t *testing.T) {
	skipIfShort(t)
	r, w, err := os.Pipe()
	labtest.Must(t, err)
	defer r.Close()
	var stat unix.Stat_t
	labtest.Must(t, unix.Fstat(int(w.Fd()), &stat))
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", stat.Dev, stat.Ino))
	path := labtest.TempFile(t, "arpfabric.yaml", "networks: {}\nno: 1\n")
	p := launch(t, func(cmd *exec.Cmd) error {
		cmd.Stderr = w
		return cmd.Start()
	}, nil, "run", "--config", path)
	p.wait(t)
	labtest.Must(t, w.Close())
	got, err := io.ReadAll(r)
	labtest.Must(t, err)
	_, elsewhere := runToEnd(t, nil, "run", "--config", path)
	want := "<3>" + strings.ReplaceAll(strings.TrimSuffix(elsewhere, "\n"), "\n", "\n<3>") + "\n"
	if string(got) != want || strings.Count(want, "\n") != 2 {
		t.Errorf("journald reads\n%swant\n%s", got, want)
	}
}
