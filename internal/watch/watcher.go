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

// Watcher receives notifications of changes from the kernel.
type Watcher struct {
	subject  string
	conn     *netlink.Conn
	relevant func(netlink.Message) bool
	changed  chan struct{}
	overruns atomic.Uint64
}

// Interfaces subscribes to changes of interfaces and their IPv4 addresses. The Watcher misses no change that happens
// after Interfaces has returned.
func Interfaces() (*Watcher, error) {
	all := func(netlink.Message) bool { return true }
	return New("interfaces", make(chan struct{}, 1), all, unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR)
}

// FDB subscribes to changes of the forwarding databases of bridges. The Watcher notifies of those for which relevant returns
// true; message is the body of RTM_NEWNEIGH or, if isDeleted is true, of RTM_DELNEIGH. Another goroutine calls relevant.
func FDB(relevant func(isDeleted bool, message []byte) bool) (*Watcher, error) {
	isRelevant := func(m netlink.Message) bool {
		isDeleted := m.Header.Type == unix.RTM_DELNEIGH
		return (isDeleted || m.Header.Type == unix.RTM_NEWNEIGH) && relevant(isDeleted, m.Data)
	}
	return New("the forwarding database", make(chan struct{}, 1), isRelevant, unix.NETLINK_ROUTE, unix.RTNLGRP_NEIGH)
}

// receiveBuffer is the size of the socket's receive buffer, in bytes. It holds the messages of a few thousand changes,
// of about 1.5 kB each.
const receiveBuffer = 4 << 20

// New subscribes to groups of a netlink protocol. The Watcher sends a value to changed for each message that is
// relevant, unless changed is full. subject names in errors what it watches.
func New(subject string, changed chan struct{}, relevant func(netlink.Message) bool, protocol int, groups ...uint32) (*Watcher, error) {
	conn, err := netlink.Dial(protocol, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket to watch %s: %w", subject, err)
	}
	err = conn.SetReadBuffer(receiveBuffer)
	for _, group := range groups {
		err = errors.Join(err, conn.JoinGroup(group))
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("watching %s over netlink: %w", subject, err)
	}
	return &Watcher{subject: subject, conn: conn, relevant: relevant, changed: changed}, nil
}

// Changed returns a channel that receives a value after a change. Several changes may lead to one value.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Overruns returns how many times the kernel has dropped messages because they were not read in time.
func (w *Watcher) Overruns() uint64 { return w.overruns.Load() }

// Close closes the socket. It makes Run return.
func (w *Watcher) Close() error { return w.conn.Close() }

// Run receives messages until ctx ends, and then returns nil. It returns an error if the socket fails.
func (w *Watcher) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { w.conn.Close() })
	defer stop()
	for {
		messages, err := w.conn.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // a lost message is taken for a relevant one
			w.overruns.Add(1)
		case err != nil:
			return fmt.Errorf("watching %s over netlink: %w", w.subject, err)
		case !slices.ContainsFunc(messages, w.relevant):
			continue
		}
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}
