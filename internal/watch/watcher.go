package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Watcher tells when something has changed.
type Watcher struct {
	what     string
	conn     *netlink.Conn
	concerns func(netlink.Message) bool // messages that don't concern are not told of
	changed  chan struct{}
	overruns atomic.Uint64
}

// Interfaces starts to watch interfaces and their IPv4 addresses: no change after it returned is missed.
func Interfaces() (*Watcher, error) {
	return listen("interfaces", everything, unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR)
}

func everything(netlink.Message) bool { return true }

// Ruleset starts to watch the nftables tables of a name, of any family.
func Ruleset(table string) (*Watcher, error) {
	names := func(m netlink.Message) bool { return names(m, table) }
	return listen("the nftables ruleset", names, unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
}

// receiveBuffer holds the messages, of some 1.5 kB each, of a few thousand changes.
const receiveBuffer = 4 << 20

func listen(what string, concerns func(netlink.Message) bool, protocol int, groups ...uint32) (*Watcher, error) {
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
	return &Watcher{what: what, conn: conn, concerns: concerns, changed: make(chan struct{}, 1)}, nil
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
		messages, err := w.conn.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // something was lost, so something has changed
			w.overruns.Add(1)
		case err != nil:
			return fmt.Errorf("watching %s over netlink: %w", w.what, err)
		case !slices.ContainsFunc(messages, w.concerns):
			continue
		}
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

// names reports whether a message of nftables is about a table, or something in one, of that name. The name of
// the table is the first attribute of each kind (linux/netfilter/nf_tables.h).
func names(m netlink.Message, table string) bool {
	const nfgenLen, tableName = 4, 1
	if len(m.Data) < nfgenLen {
		return false
	}
	ad, err := netlink.NewAttributeDecoder(m.Data[nfgenLen:])
	if err != nil {
		return true // better once too often
	}
	for ad.Next() {
		if ad.Type() == tableName && ad.String() == table {
			return true
		}
	}
	return false
}
