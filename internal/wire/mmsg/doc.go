// Package mmsg receives and sends up to [MaxBatch] datagrams of a socket in one system call (recvmmsg(2), sendmmsg(2)),
// and allocates nothing while it does. A socket that the runtime polls, such as one of github.com/mdlayher/socket,
// keeps its deadlines, and Close interrupts a Receive.
//
// The package does not look into the datagrams.
package mmsg

import "golang.org/x/sys/unix"

// MaxBatch is the most datagrams that one system call receives or sends.
const MaxBatch = 64

// A message is the kernel's struct mmsghdr (recvmmsg(2)).
type message struct {
	header unix.Msghdr
	length uint32 // bytes received or sent
}
