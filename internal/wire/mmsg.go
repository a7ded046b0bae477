package wire

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A message is the kernel's struct mmsghdr (recvmmsg(2)): a message header and the length received or sent.
type message struct {
	header unix.Msghdr
	length uint32
}

// A receiver reads up to MaxBatch datagrams from a socket in one system call, without allocating.
type receiver struct {
	conn     syscall.RawConn
	messages [MaxBatch]message
	iovecs   [MaxBatch]unix.Iovec
	from     [MaxBatch]unix.RawSockaddrLinklayer
	buffers  [MaxBatch][]byte
	control  [MaxBatch][controlWords]uint64

	attempt func(fd uintptr) bool // made once, so that receive allocates no closure
	want    int
	n       int
	errno   syscall.Errno
}

// controlWords is room for the control messages that are asked for: a packet socket's auxiliary data (36
// bytes) and the time of arrival (32). It is counted in 8-byte words: the kernel aligns them so.
const controlWords = 5 + 4

// newReceiver makes a receiver that reads dataLen bytes of each datagram, into a buffer with room for
// spare more.
func newReceiver(conn syscall.RawConn, dataLen, spare int) *receiver {
	r := &receiver{conn: conn}
	for i := range r.messages {
		r.buffers[i] = make([]byte, dataLen+spare)
		r.iovecs[i].Base = &r.buffers[i][0]
		r.iovecs[i].SetLen(dataLen)
		h := &r.messages[i].header
		h.Iov, h.Iovlen = &r.iovecs[i], 1
		h.Name = (*byte)(unsafe.Pointer(&r.from[i]))
		h.Control = (*byte)(unsafe.Pointer(&r.control[i]))
	}
	r.attempt = r.tryReceive
	return r
}

// receive waits for at least one datagram and returns how many there are, at most want.
func (r *receiver) receive(want int) (int, error) {
	r.want = min(want, MaxBatch)
	for i := range r.want {
		h := &r.messages[i].header
		h.Namelen = uint32(unsafe.Sizeof(r.from[i]))
		h.SetControllen(8 * controlWords)
	}
	if err := r.conn.Read(r.attempt); err != nil {
		return 0, err
	}
	if r.errno != 0 {
		return 0, r.errno
	}
	return r.n, nil
}

// tryReceive reports whether it is done: false makes the runtime wait until the socket is readable.
func (r *receiver) tryReceive(fd uintptr) bool {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.messages)), uintptr(r.want), unix.MSG_DONTWAIT, 0, 0)
	r.n, r.errno = int(n), errno
	return errno != unix.EAGAIN && errno != unix.EINTR
}

// data returns what datagram i holds.
func (r *receiver) data(i int) []byte {
	return r.buffers[i][:min(int(r.messages[i].length), len(r.buffers[i]))]
}

// controlData returns what the control message of that kind says about datagram i (cmsg(3)), or nil.
func (r *receiver) controlData(i int, level, kind int32) unsafe.Pointer {
	at, end := 0, int(r.messages[i].header.Controllen)
	for at+unix.SizeofCmsghdr <= end {
		h := (*unix.Cmsghdr)(unsafe.Add(unsafe.Pointer(&r.control[i]), at))
		if h.Level == level && h.Type == kind {
			return unsafe.Add(unsafe.Pointer(h), unix.SizeofCmsghdr)
		}
		at += unix.CmsgSpace(int(h.Len) - unix.SizeofCmsghdr)
	}
	return nil
}

// A sender writes frames out of interfaces over a packet socket, up to MaxBatch in one system call,
// without allocating.
type sender struct {
	conn     syscall.RawConn
	messages [MaxBatch]message
	iovecs   [MaxBatch]unix.Iovec
	to       [MaxBatch]unix.RawSockaddrLinklayer

	attempt     func(fd uintptr)
	first, last int
	n           int
	errno       syscall.Errno
}

func newSender(conn syscall.RawConn) *sender {
	s := &sender{conn: conn}
	for i := range s.messages {
		s.to[i].Family = unix.AF_PACKET
		h := &s.messages[i].header
		h.Iov, h.Iovlen = &s.iovecs[i], 1
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&s.to[i])), uint32(unsafe.Sizeof(s.to[i]))
	}
	s.attempt = s.trySend
	return s
}

// send sends batch and returns how many frames left. A frame that can't leave (its interface is down or
// gone, its queue is full) is passed over: ARP is asked again.
func (s *sender) send(batch []Frame) (int, error) {
	sent := 0
	for len(batch) > 0 {
		n := min(len(batch), MaxBatch)
		left, err := s.sendSome(batch[:n])
		sent += left
		if err != nil {
			return sent, err
		}
		batch = batch[n:]
	}
	return sent, nil
}

func (s *sender) sendSome(batch []Frame) (int, error) {
	for i, f := range batch {
		s.iovecs[i].Base = &f.Data[0]
		s.iovecs[i].SetLen(len(f.Data))
		s.to[i].Ifindex = int32(f.Port)
	}
	sent := 0
	for s.first, s.last = 0, len(batch); s.first < s.last; {
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
		default:
			s.first++
		}
	}
	return sent, nil
}

func (s *sender) trySend(fd uintptr) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.messages[s.first])), uintptr(s.last-s.first), unix.MSG_DONTWAIT, 0, 0)
	s.n, s.errno = int(n), errno
}
