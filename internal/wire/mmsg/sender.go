package mmsg

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Sender sends frames out of interfaces by one packet socket. It must not be copied. One goroutine at a time may use
// it.
type Sender struct {
	conn     syscall.RawConn
	messages [MaxBatch]message
	iovecs   [MaxBatch]unix.Iovec
	to       [MaxBatch]unix.RawSockaddrLinklayer

	attempt     func(fd uintptr) // made once, so that Send allocates no closure
	first, last int
	n           int
	errno       syscall.Errno
}

// NewSender returns a Sender on a packet socket.
func NewSender(conn syscall.RawConn) *Sender {
	s := &Sender{conn: conn}
	for i := range s.messages {
		s.to[i].Family = unix.AF_PACKET
		h := &s.messages[i].header
		h.Iov, h.Iovlen = &s.iovecs[i], 1
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&s.to[i])), uint32(unsafe.Sizeof(s.to[i]))
	}
	s.attempt = s.trySend
	return s
}

// Set makes data the frame i of the next Send, 0 to [MaxBatch] - 1, and ifindex the interface that it leaves by. data
// must not be empty, and must not change before that Send.
func (s *Sender) Set(i, ifindex int, data []byte) {
	s.iovecs[i].Base = &data[0]
	s.iovecs[i].SetLen(len(data))
	s.to[i].Ifindex = int32(ifindex)
}

// Send sends the first n frames and returns how many left. It skips a frame that cannot leave, because its interface is
// down or gone or its queue is full, and does not send it again. It returns an error if the socket is closed, or if
// the process may not send.
func (s *Sender) Send(n int) (int, error) {
	sent := 0
	for s.first, s.last = 0, n; s.first < s.last; {
		if err := s.conn.Control(s.attempt); err != nil {
			return sent, err
		}
		switch s.errno {
		case 0:
			sent += s.n
			s.first += s.n
		case unix.EINTR:
		case unix.EBADF, unix.ENOTSOCK, unix.EPERM:
			return sent, s.errno
		default: // an error of the first frame: sendmmsg reports it only if no frame before it left
			s.first++
		}
	}
	return sent, nil
}

func (s *Sender) trySend(fd uintptr) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.messages[s.first])), uintptr(s.last-s.first), unix.MSG_DONTWAIT, 0, 0)
	s.n, s.errno = int(n), errno
}
