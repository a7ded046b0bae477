// Package systemd notifies systemd of start, reload and stop, and sends the keep-alive of the watchdog, by the protocol
// of sd_notify(3). Without systemd, if NOTIFY_SOCKET is not set, it does nothing.
//
// The caller decides when the fabric is ready or alive.
package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Notifier sends the state of the fabric to systemd.
type Notifier struct{ log *slog.Logger }

// New returns a Notifier that logs notifications which fail.
func New(log *slog.Logger) *Notifier { return &Notifier{log} }

// Ready notifies systemd that the start has finished and cfg is in force.
func (n *Notifier) Ready(cfg *config.Config) {
	n.notify(daemon.SdNotifyReady + "\nSTATUS=" + summary(cfg))
}

// Reloading notifies systemd that a reload has begun. The caller must call Reloaded at its end: systemd waits for that.
func (n *Notifier) Reloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // fails only for an unknown clock
	// systemd ignores RELOADING=1 of a Type=notify-reload service without the time, in microseconds.
	n.notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// Reloaded notifies systemd that the reload has ended and inForce is in force. If err is not nil, that is the previous
// configuration.
func (n *Notifier) Reloaded(inForce *config.Config, err error) {
	state := daemon.SdNotifyReady + "\nSTATUS=" + summary(inForce)
	if err != nil {
		state += "; the configuration has changed and could not be reloaded, see the log"
	}
	n.notify(state)
}

// Stopping notifies systemd that the fabric is about to end.
func (n *Notifier) Stopping() { n.notify(daemon.SdNotifyStopping) }

// KeepAlive sends keep-alives for systemd's watchdog until ctx ends: one at once, and then two in each interval of the
// watchdog (WatchdogSec= of the unit). It sends one only if alive returns nil within half an interval. If the unit has
// no watchdog, it returns at once.
func (n *Notifier) KeepAlive(ctx context.Context, alive func(context.Context) error) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("cannot read the interval of systemd's watchdog; sending no keep-alives", "error", err)
	}
	if interval == 0 {
		return
	}
	ticks := time.NewTicker(interval / 2)
	defer ticks.Stop()
	for {
		n.sendKeepAlive(ctx, interval/2, alive)
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

func (n *Notifier) sendKeepAlive(ctx context.Context, timeout time.Duration, alive func(context.Context) error) {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch err := alive(waiting); {
	case err == nil:
		n.notify(daemon.SdNotifyWatchdog)
	case ctx.Err() == nil:
		n.log.Error("the fabric does not respond; sending no keep-alive, so that systemd restarts it", "error", err)
	}
}

func (n *Notifier) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("cannot notify systemd", "state", state, "error", err)
	}
}

// summary returns the size of a configuration, such as "2 networks, 5 bindings".
func summary(cfg *config.Config) string {
	bindings := 0
	for _, n := range cfg.Networks {
		bindings += n.Registry.Len()
	}
	return count(len(cfg.Networks), "network") + ", " + count(bindings, "binding")
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprint(n, " ", noun)
}
