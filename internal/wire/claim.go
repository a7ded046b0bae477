package wire

import (
	"errors"
	"fmt"
	"io"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// claimGroup is an NFLOG group that nothing is logged to. The kernel gives it to one process of a network namespace,
// and only to one that has CAP_NET_ADMIN there: who may not disturb the network can't keep a fabric from starting.
const claimGroup = Group + 1

// ErrClaimed is the error of Claim where another process has the claim.
var ErrClaimed = errors.New("claimed by another process")

// Claim makes this process the only one of the network namespace that has the claim, until it is closed or the process
// ends, however it does. It is [ErrClaimed] where there is one, and another error where the kernel has no NFLOG or
// the process has no CAP_NET_ADMIN.
func Claim() (io.Closer, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for NFLOG: %w", err)
	}
	err = bindGroup(conn, claimGroup)
	if err == nil {
		return conn, nil
	}
	conn.Close()
	if _, ok := errors.AsType[groupInUse](err); ok {
		return nil, ErrClaimed
	}
	return nil, err
}
