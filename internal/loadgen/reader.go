package loadgen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/arpfabric/arpfabric/internal/wire/mmsg"
	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

const (
	// frameLen is how much of a frame is read, in bytes: more than a padded answer has.
	frameLen = 64

	// receiveBuffer is how much the socket holds until it is read, in bytes.
	receiveBuffer = 16 << 20
)

// A reader reads the ARP frames that arrive at an interface, in batches, each with the time at which the kernel
// received it. The time does not depend on when the reader gets to run (SO_TIMESTAMPNS, timestamping.rst in the
// kernel's documentation).
type reader struct {
	socket   *socket.Conn
	receiver *mmsg.Receiver
}

func openReader(ifindex int) (*reader, error) {
	s, err := socket.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0, "packet", nil)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket (needs CAP_NET_RAW): %w", err)
	}
	r := &reader{socket: s}
	if err := r.setUp(ifindex); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return r, nil
}

// setUp binds the socket last: nothing arrives before.
func (r *reader) setUp(ifindex int) error {
	conn, err := r.socket.SyscallConn()
	if err != nil {
		return err
	}
	stampSpace := unix.CmsgSpace(int(unsafe.Sizeof(unix.Timespec{})))
	r.receiver = mmsg.NewReceiver(conn, frameLen, 0, stampSpace)
	if err := r.socket.SetsockoptInt(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("asking for the time of arrival (SO_TIMESTAMPNS): %w", err)
	}
	if err := r.socket.SetReadBuffer(receiveBuffer); err != nil {
		return fmt.Errorf("setting the receive buffer: %w", err)
	}
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ARP))
	if err := r.socket.Bind(&unix.SockaddrLinklayer{Protocol: protocol, Ifindex: ifindex}); err != nil {
		return fmt.Errorf("binding a packet socket to interface index %d: %w", ifindex, err)
	}
	return nil
}

// read waits for frames and returns their number.
func (r *reader) read() (int, error) { return r.receiver.Receive(mmsg.MaxBatch) }

// frame returns frame i of the last read.
func (r *reader) frame(i int) []byte { return r.receiver.Data(i) }

// arrived returns when frame i of the last read arrived.
func (r *reader) arrived(i int) time.Time {
	stamp := (*unix.Timespec)(r.receiver.Control(i, unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS))
	return time.Unix(stamp.Unix())
}
