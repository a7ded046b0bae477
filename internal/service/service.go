// Package service tells systemd how the fabric is: that it is ready, reloads, stops, and is still alive, in the words
// of sd_notify(3). Without systemd, which shows in NOTIFY_SOCKET, nobody is told and nothing else changes.
//
// What it means to be ready or alive is the fabric's business.
package service

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Service is the fabric as systemd sees it.
type Service struct{ log *slog.Logger }

// New makes a Service that logs what could not be told.
func New(log *slog.Logger) *Service { return &Service{log} }

// Ready tells that a configuration is in force.
func (s *Service) Ready(cfg *config.Config) {
	s.tell(daemon.SdNotifyReady + "\nSTATUS=" + summary(cfg))
}

// Reloading tells that the configuration is being read again. Reloaded has to follow.
func (s *Service) Reloading() {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // fails for a clock that isn't there only
	s.tell(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// Reloaded tells which configuration is in force after a reload: the one before, if err says what was wrong with the
// new one.
func (s *Service) Reloaded(inForce *config.Config, err error) {
	state := daemon.SdNotifyReady + "\nSTATUS=" + summary(inForce)
	if err != nil {
		state += "; the configuration has changed and could not be reloaded, see the log"
	}
	s.tell(state)
}

// Stopping tells that the fabric is about to end.
func (s *Service) Stopping() { s.tell(daemon.SdNotifyStopping) }

// KeepAlive tells until ctx ends that the fabric is alive: at once and twice in each interval in which systemd wants to
// hear it, whenever alive returns nil in time. It returns at once if systemd doesn't want to.
func (s *Service) KeepAlive(ctx context.Context, alive func(context.Context) error) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("systemd's watchdog is not served", "error", err)
	}
	if interval == 0 {
		return
	}
	ticks := time.NewTicker(interval / 2)
	defer ticks.Stop()
	for {
		s.tellAlive(ctx, interval/2, alive)
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

func (s *Service) tellAlive(ctx context.Context, patience time.Duration, alive func(context.Context) error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch err := alive(waiting); {
	case err == nil:
		s.tell(daemon.SdNotifyWatchdog)
	case ctx.Err() == nil:
		s.log.Error("the fabric is stuck; systemd's watchdog is left to restart it", "error", err)
	}
}

func (s *Service) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("can't tell systemd", "state", state, "error", err)
	}
}

// summary writes "2 networks, 5 bindings".
func summary(cfg *config.Config) string {
	bindings := 0
	for _, n := range cfg.Networks {
		bindings += n.Registry.Len()
	}
	return count(len(cfg.Networks), "network") + ", " + count(bindings, "binding")
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}
