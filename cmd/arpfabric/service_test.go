package main

import (
	"github.com/arpfabric/arpfabric/internal/lab"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A manager is the socket that systemd hears a service by.
type manager struct{ *net.UnixConn }

func newManager(t *testing.T) manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return manager{conn}
}

// expect waits for a message that begins with want, and lets pass what says that the fabric is alive.
func (m manager) expect(t *testing.T, want string) {
	t.Helper()
	must(t, m.SetReadDeadline(time.Now().Add(lab.Patience)))
	message := make([]byte, 1024)
	for {
		n, err := m.Read(message)
		must(t, err)
		switch got := string(message[:n]); {
		case strings.HasPrefix(got, want):
			return
		case got != "WATCHDOG=1":
			t.Fatalf("systemd hears %q, want %q", got, want)
		}
	}
}

func TestSystemdIsTold(t *testing.T) {
	newStage(t)
	m := newManager(t)
	t.Setenv("WATCHDOG_USEC", "500000")
	path := write(t, onBridge(""))
	time.Sleep(50 * time.Millisecond) // a file written just before it is read is read twice
	p := arpfabric(t, nil, "run", "--config", path)
	m.expect(t, "READY=1\nSTATUS=1 network, 3 bindings")
	m.expect(t, "WATCHDOG=1")

	must(t, p.Process.Signal(unix.SIGHUP))
	m.expect(t, "RELOADING=1\nMONOTONIC_USEC=")
	m.expect(t, "READY=1\nSTATUS=1 network, 3 bindings")
	m.expect(t, "WATCHDOG=1")

	next := path + ".next"
	must(t, os.WriteFile(next, []byte("networks: {}\n"), 0o600))
	must(t, os.Rename(next, path))
	m.expect(t, "RELOADING=1\n")
	m.expect(t, "READY=1\nSTATUS=1 network, 3 bindings; the configuration has changed and could not be reloaded")

	must(t, p.Process.Signal(unix.SIGTERM))
	m.expect(t, "STOPPING=1")
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.output.String())
	}
}
