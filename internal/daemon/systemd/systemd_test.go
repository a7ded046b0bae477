package systemd

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
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"golang.org/x/sys/unix"
)

// timeout is generous: emulated machines are slow.
const timeout = 30 * time.Second

// A manager is the socket on which systemd receives notifications.
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

// next returns the next notification.
func (m manager) next() string {
	m.Helper()
	m.SetReadDeadline(time.Now().Add(timeout))
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
		m.Errorf("systemd receives %q, want %q", got, want)
	}
}

func load(t *testing.T, registry string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lab.yaml")
	text := "networks: {lab: {attach: {bridge: br0}, registry: {" + registry + "}}}\n"
	labtest.Write(t, path, text)
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

// expectReloading expects RELOADING=1 with a time between two others, in microseconds of the monotonic clock.
func (m manager) expectReloading(after, before int64) {
	m.Helper()
	got := m.next()
	text, ok := strings.CutPrefix(got, "RELOADING=1\nMONOTONIC_USEC=")
	at, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || at < after || at > before {
		m.Errorf("systemd receives %q, want a time from %d to %d", got, after, before)
	}
}

func monotonic() int64 {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano() / 1000
}

func TestKeepAliveStopsIfNotAlive(t *testing.T) {
	m, s := newManager(t), New(slog.New(slog.DiscardHandler))
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	const alive = 5
	calls := 0
	go func() {
		defer close(ended)
		s.KeepAlive(ctx, func(context.Context) error {
			switch calls++; {
			case calls <= alive:
				return nil
			case calls == 3*alive:
				cancel()
			}
			return errors.New("stuck")
		})
	}()
	for range alive {
		m.expect("WATCHDOG=1")
	}
	<-ended
	s.Stopping()
	m.expect("STOPPING=1") // and no keep-alive before it
}

func TestKeepAliveTimesOut(t *testing.T) {
	m, s := newManager(t), New(slog.New(slog.DiscardHandler))
	t.Setenv("WATCHDOG_USEC", "2000")
	ctx, cancel := context.WithCancel(context.Background())
	s.KeepAlive(ctx, func(waiting context.Context) error {
		<-waiting.Done()
		cancel()
		return waiting.Err()
	})
	s.Stopping()
	m.expect("STOPPING=1") // and no keep-alive before it
}

func TestWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	var log strings.Builder
	s := New(slog.New(slog.NewTextHandler(&log, nil)))
	s.Stopping()
	s.KeepAlive(context.Background(), func(context.Context) error { t.Error("KeepAlive called alive"); return nil })
	if log.Len() > 0 {
		t.Error(log.String())
	}
}

func TestErrorsAreLogged(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "missing"))
	t.Setenv("WATCHDOG_USEC", "soon")
	var log strings.Builder
	s := New(slog.New(slog.NewTextHandler(&log, nil)))
	s.Stopping()
	s.KeepAlive(context.Background(), func(context.Context) error { t.Error("KeepAlive called alive"); return nil })
	for _, want := range []string{
		`msg="cannot notify systemd" state="STOPPING=1"`,
		`msg="cannot read the interval of systemd's watchdog; sending no keep-alives"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("not in the log: %s\n%s", want, log.String())
		}
	}
}
