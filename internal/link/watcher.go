package link

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Watcher tells when interfaces or their addresses have changed.
type Watcher struct {
	conn     *netlink.Conn
	overruns atomic.Uint64
}

// watchBuffer holds the messages, of some 1.5 kB each, of a few thousand changes.
const watchBuffer = 4 << 20

// NewWatcher starts listening: no change after it returned is missed.
func NewWatcher() (*Watcher, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: 1<<(unix.RTNLGRP_LINK-1) | 1<<(unix.RTNLGRP_IPV4_IFADDR-1)})
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for interfaces: %w", err)
	}
	if err := conn.SetReadBuffer(watchBuffer); err != nil {
		conn.Close()
		return nil, fmt.Errorf("setting the receive buffer for interface changes: %w", err)
	}
	return &Watcher{conn: conn}, nil
}

// Overruns returns how often messages were lost because they were not read in time.
func (w *Watcher) Overruns() uint64 { return w.overruns.Load() }

// Close ends Run.
func (w *Watcher) Close() error { return w.conn.Close() }

// Run calls changed after every change, and once for those that come while it runs, until ctx ends. It
// returns nil then, and an error if the socket fails.
func (w *Watcher) Run(ctx context.Context, changed func()) error {
	stop := context.AfterFunc(ctx, func() { w.conn.Close() })
	defer stop()
	bell := make(chan struct{}, 1)
	failed := make(chan error, 1)
	go func() { failed <- w.ring(bell) }()
	for {
		select {
		case <-bell:
			changed()
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watching interfaces over netlink: %w", err)
		}
	}
}

// ring rings the bell for every message, and for those that were lost, until the socket fails.
func (w *Watcher) ring(bell chan<- struct{}) error {
	for {
		_, err := w.conn.Receive()
		if errors.Is(err, unix.ENOBUFS) {
			w.overruns.Add(1)
		} else if err != nil {
			return err
		}
		select {
		case bell <- struct{}{}:
		default:
		}
	}
}
