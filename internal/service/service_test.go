package service

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must happen: emulated machines are slow.
const patience = 30 * time.Second

// A manager is the socket that systemd hears a service by.
type manager struct {
	*testing.T
	*net.UnixConn
}

func newManager(t *testing.T) manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return manager{t, conn}
}

// next returns what the manager hears next.
func (m manager) next() string {
	m.Helper()
	m.SetReadDeadline(time.Now().Add(patience))
	message := make([]byte, 1024)
	n, err := m.Read(message)
	if err != nil {
		m.Fatal(err)
	}
	return string(message[:n])
}

func (m manager) expect(want string) {
	m.Helper()
	if got := m.next(); got != want {
		m.Errorf("systemd hears %q, want %q", got, want)
	}
}

func load(t *testing.T, registry string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lab.yaml")
	text := "networks: {lab: {attach: {bridge: br0}, registry: {" + registry + "}}}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestStates(t *testing.T) {
	m, s := newManager(t), New(slog.New(slog.DiscardHandler))
	one := load(t, `10.239.0.1: "02:00:00:de:54:a8"`)
	two := load(t, `10.239.0.1: "02:00:00:de:54:a8", 10.239.0.2: "02:00:01:de:54:a8"`)

	s.Ready(one)
	m.expect("READY=1\nSTATUS=1 network, 1 binding")

	before := monotonic()
	s.Reloading()
	m.expectReloading(before, monotonic())
	s.Reloaded(two, nil)
	m.expect("READY=1\nSTATUS=1 network, 2 bindings")

	s.Reloaded(two, errors.New("lab.yaml:3: unknown key"))
	m.expect("READY=1\nSTATUS=1 network, 2 bindings; the configuration has changed and could not be reloaded, see the log")

	s.Stopping()
	m.expect("STOPPING=1")
}

// expectReloading wants the time of a reload, in microseconds of the monotonic clock, between two others.
func (m manager) expectReloading(after, before int64) {
	m.Helper()
	got := m.next()
	text, ok := strings.CutPrefix(got, "RELOADING=1\nMONOTONIC_USEC=")
	at, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || at < after || at > before {
		m.Errorf("systemd hears %q, want a time from %d to %d", got, after, before)
	}
}

func monotonic() int64 {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano() / 1000
}

func TestKeepAliveTellsOnlyWhatIsTrue(t *testing.T) {
	m, s := newManager(t), New(slog.New(slog.DiscardHandler))
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	const turns = 5
	turn := 0
	go func() {
		defer close(ended)
		s.KeepAlive(ctx, func(context.Context) error {
			switch turn++; {
			case turn <= turns:
				return nil
			case turn == 3*turns:
				cancel()
			}
			return errors.New("stuck")
		})
	}()
	for range turns {
		m.expect("WATCHDOG=1")
	}
	<-ended
	s.Stopping()
	m.expect("STOPPING=1") // and nothing before it
}

func TestKeepAliveGivesUpOnWhatHangs(t *testing.T) {
	m, s := newManager(t), New(slog.New(slog.DiscardHandler))
	t.Setenv("WATCHDOG_USEC", "2000")
	ctx, cancel := context.WithCancel(context.Background())
	s.KeepAlive(ctx, func(waiting context.Context) error {
		<-waiting.Done()
		cancel()
		return waiting.Err()
	})
	s.Stopping()
	m.expect("STOPPING=1") // and nothing before it
}

func TestNobodyIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	var log strings.Builder
	s := New(slog.New(slog.NewTextHandler(&log, nil)))
	s.Stopping()
	s.KeepAlive(context.Background(), func(context.Context) error { t.Error("asked"); return nil })
	if log.Len() > 0 {
		t.Error(log.String())
	}
}

func TestWhatCanNotBeToldIsLogged(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "missing"))
	t.Setenv("WATCHDOG_USEC", "soon")
	var log strings.Builder
	s := New(slog.New(slog.NewTextHandler(&log, nil)))
	s.Stopping()
	s.KeepAlive(context.Background(), func(context.Context) error { t.Error("asked"); return nil })
	for _, want := range []string{
		`msg="can't tell systemd" state="STOPPING=1"`,
		`msg="systemd's watchdog is not served"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("not in the log: %s\n%s", want, log.String())
		}
	}
}
