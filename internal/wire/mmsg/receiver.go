package mmsg

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Receiver receives datagrams from one socket. It must not be copied. One goroutine at a time may use it.
type Receiver struct {
	conn     syscall.RawConn
	messages [MaxBatch]message
	iovecs   [MaxBatch]unix.Iovec
	from     [MaxBatch]unix.RawSockaddrLinklayer
	buffers  [MaxBatch][]byte
	control  [MaxBatch][]uint64 // the kernel aligns control messages to words of 8 bytes

	attempt func(fd uintptr) bool // made once, so that Receive allocates no closure
	want    int
	n       int
	errno   syscall.Errno
}

// NewReceiver returns a Receiver that reads at most dataLen bytes of each datagram, into a buffer with spare more bytes
// at its end, and has room for controlLen bytes of control messages (cmsg(3)) with each.
func NewReceiver(conn syscall.RawConn, dataLen, spare, controlLen int) *Receiver {
	r := &Receiver{conn: conn}
	for i := range r.messages {
		r.buffers[i] = make([]byte, dataLen+spare)
		r.iovecs[i].Base = &r.buffers[i][0]
		r.iovecs[i].SetLen(dataLen)
		h := &r.messages[i].header
		h.Iov, h.Iovlen = &r.iovecs[i], 1
		h.Name = (*byte)(unsafe.Pointer(&r.from[i]))
		if controlLen > 0 {
			r.control[i] = make([]uint64, (controlLen+7)/8)
			h.Control = (*byte)(unsafe.Pointer(&r.control[i][0]))
		}
	}
	r.attempt = r.tryReceive
	return r
}

// Receive waits for at least one datagram and returns their number, at most want and [MaxBatch]. The next Receive
// overwrites them.
func (r *Receiver) Receive(want int) (int, error) {
	r.want = min(want, MaxBatch)
	for i := range r.want {
		// The kernel has overwritten both lengths with those of the last datagrams.
		h := &r.messages[i].header
		h.Namelen = uint32(unsafe.Sizeof(r.from[i]))
		h.SetControllen(8 * len(r.control[i]))
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
func (r *Receiver) tryReceive(fd uintptr) bool {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.messages)), uintptr(r.want), unix.MSG_DONTWAIT, 0, 0)
	r.n, r.errno = int(n), errno
	return errno != unix.EAGAIN && errno != unix.EINTR
}

// Data returns datagram i of the last Receive. It can be extended by the spare bytes.
func (r *Receiver) Data(i int) []byte {
	return r.buffers[i][:min(int(r.messages[i].length), len(r.buffers[i]))]
}

// From returns the address that datagram i of a packet socket came from (packet(7)).
func (r *Receiver) From(i int) *unix.RawSockaddrLinklayer { return &r.from[i] }

// Control returns the data of the control message of this level and kind that came with datagram i, or nil.
func (r *Receiver) Control(i int, level, kind int32) unsafe.Pointer {
	header := &r.messages[i].header
	at, end := 0, int(header.Controllen)
	for at+unix.SizeofCmsghdr <= end {
		h := (*unix.Cmsghdr)(unsafe.Add(unsafe.Pointer(header.Control), at))
		if h.Level == level && h.Type == kind {
			return unsafe.Add(unsafe.Pointer(h), unix.SizeofCmsghdr)
		}
		at += unix.CmsgSpace(int(h.Len) - unix.SizeofCmsghdr)
	}
	return nil
}
