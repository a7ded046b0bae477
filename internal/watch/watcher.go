package watch

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Watcher tells when something has changed.
type Watcher struct {
	what     string
	conn     *netlink.Conn
	changed  chan struct{}
	overruns atomic.Uint64
}

// Interfaces starts to watch interfaces and their IPv4 addresses: no change after it returned is missed.
func Interfaces() (*Watcher, error) {
	return listen("interfaces", unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR)
}

// Ruleset starts to watch the nftables ruleset.
func Ruleset() (*Watcher, error) {
	return listen("the nftables ruleset", unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
}

// receiveBuffer holds the messages, of some 1.5 kB each, of a few thousand changes.
const receiveBuffer = 4 << 20

func listen(what string, protocol int, groups ...uint32) (*Watcher, error) {
	conn, err := netlink.Dial(protocol, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket to watch %s: %w", what, err)
	}
	err = conn.SetReadBuffer(receiveBuffer)
	for _, group := range groups {
		err = errors.Join(err, conn.JoinGroup(group))
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("watching %s over netlink: %w", what, err)
	}
	return &Watcher{what: what, conn: conn, changed: make(chan struct{}, 1)}, nil
}

// Changed yields a value when something has changed since it last did: one for any number of changes.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Overruns returns how often messages were lost because they were not read in time.
func (w *Watcher) Overruns() uint64 { return w.overruns.Load() }

// Close ends Run.
func (w *Watcher) Close() error { return w.conn.Close() }

// Run listens until ctx ends, and returns nil then; it returns an error if the socket fails.
func (w *Watcher) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { w.conn.Close() })
	defer stop()
	for {
		_, err := w.conn.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // something was lost, so something has changed
			w.overruns.Add(1)
		case err != nil:
			return fmt.Errorf("watching %s over netlink: %w", w.what, err)
		}
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}
