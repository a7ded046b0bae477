package wire

import (
	"errors"
	"fmt"
	"io"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// lockGroup is an NFLOG group that no rule logs to. The kernel binds a group to one process of a network namespace, and
// only to a process with CAP_NET_ADMIN there. So an unprivileged process cannot keep a fabric from starting.
const lockGroup = Group + 1

// ErrLocked is the error of [Lock] if another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// Lock takes a lock that one process of a network namespace can hold. Closing it releases it; so does the kernel when
// the process ends. Lock returns [ErrLocked] if another process holds the lock, and another error if the kernel has no
// NFLOG or the process has no CAP_NET_ADMIN.
func Lock() (io.Closer, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for NFLOG: %w", err)
	}
	err = bindGroup(conn, lockGroup)
	if err == nil {
		return conn, nil
	}
	conn.Close()
	if _, ok := errors.AsType[groupInUse](err); ok {
		return nil, ErrLocked
	}
	return nil, err
}
