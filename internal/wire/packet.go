package wire

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// Packet is a Conn over one packet socket (packet(7)).
type Packet struct {
	socket   *socket.Conn
	protocol uint16
	receiver *receiver
	sender   *sender
	lost     atomic.Uint64
}

// OpenPacket opens a packet socket that reads the frames of one EtherType which arrive at an interface
// (unix.ETH_P_ALL for all, and those that leave by it too), and writes out of any interface. With
// protocol 0 it reads nothing.
func OpenPacket(ifindex int, protocol uint16) (*Packet, error) {
	return openPacket(ifindex, protocol, func(*socket.Conn) error { return nil })
}

// openPacket has prepare set options on the socket before anything can arrive.
func openPacket(ifindex int, protocol uint16, prepare func(*socket.Conn) error) (*Packet, error) {
	s, err := socket.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0, "packet", nil)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket (needs CAP_NET_RAW): %w", err)
	}
	p := &Packet{socket: s, protocol: protocol}
	err = prepare(s)
	if err == nil {
		err = p.setUp(ifindex)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return p, nil
}

func (p *Packet) setUp(ifindex int) error {
	conn, err := p.socket.SyscallConn()
	if err != nil {
		return err
	}
	p.sender = newSender(conn)
	if p.protocol == 0 {
		return nil
	}
	p.receiver = newReceiver(conn, SnapLen, tagLen)
	if err := p.socket.SetsockoptInt(unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return fmt.Errorf("asking for VLAN tags (PACKET_AUXDATA): %w", err)
	}
	if err := p.socket.SetReadBuffer(receiveBuffer); err != nil {
		return fmt.Errorf("setting the receive buffer: %w", err)
	}
	return p.Bind(ifindex)
}

// Bind makes p read from another interface: an interface that was deleted and made anew has another
// index.
func (p *Packet) Bind(ifindex int) error {
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, p.protocol))
	if err := p.socket.Bind(&unix.SockaddrLinklayer{Protocol: protocol, Ifindex: ifindex}); err != nil {
		return fmt.Errorf("binding a packet socket to interface index %d: %w", ifindex, err)
	}
	return nil
}

// Read implements Conn.
func (p *Packet) Read(batch []Frame) (int, error) {
	n, err := p.receiver.receive(len(batch))
	switch err {
	case unix.ENETDOWN: // said once when the interface goes down or away; Bind or its return wakes p up
		return 0, nil
	case unix.ENOBUFS:
		p.lost.Add(1)
		return 0, nil
	}
	for i := range n {
		batch[i] = Frame{Port: int(p.receiver.from[i].Ifindex), Data: p.frame(i)}
	}
	return n, err
}

// Outgoing reports whether frame i of the last Read left by the interface instead of arriving there.
func (p *Packet) Outgoing(i int) bool { return p.receiver.from[i].Pkttype == unix.PACKET_OUTGOING }

// StampArrivals has the kernel note when frames arrive (SO_TIMESTAMPNS, timestamping.rst in the kernel's
// documentation).
func (p *Packet) StampArrivals() error {
	if err := p.socket.SetsockoptInt(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("asking for the time of arrival (SO_TIMESTAMPNS): %w", err)
	}
	return nil
}

// Arrived returns when frame i of the last Read arrived. Arrivals must be stamped.
func (p *Packet) Arrived(i int) time.Time {
	stamp := (*unix.Timespec)(p.receiver.controlData(i, unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS))
	return time.Unix(stamp.Unix())
}

// tagLen is the length of a VLAN tag (IEEE 802.1Q), in bytes.
const tagLen = 4

// frame returns datagram i with its outermost VLAN tag where it belongs: the kernel took it off.
func (p *Packet) frame(i int) []byte {
	r := p.receiver
	data := r.data(i)
	aux := (*unix.TpacketAuxdata)(r.controlData(i, unix.SOL_PACKET, unix.PACKET_AUXDATA))
	if aux == nil || aux.Status&unix.TP_STATUS_VLAN_VALID == 0 || len(data) < macsLen {
		return data
	}
	tpid := uint16(ethernet.EtherTypeVLAN)
	if aux.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = aux.Vlan_tpid
	}
	tagged := r.buffers[i][:len(data)+tagLen]
	copy(tagged[macsLen+tagLen:], data[macsLen:])
	putTag(tagged, tpid, aux.Vlan_tci)
	return tagged
}

// macsLen is the length of what stands before a VLAN tag: destination and source.
const macsLen = 12

func putTag(frame []byte, tpid, tci uint16) {
	binary.BigEndian.PutUint16(frame[macsLen:], tpid)
	binary.BigEndian.PutUint16(frame[macsLen+2:], tci)
}

// Write implements Conn.
func (p *Packet) Write(batch []Frame) (int, error) { return p.sender.send(batch) }

// Lost implements Conn.
func (p *Packet) Lost() uint64 {
	if p.protocol == 0 {
		return 0
	}
	stats, err := p.socket.GetsockoptTpacketStats(unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return p.lost.Load()
	}
	return p.lost.Add(uint64(stats.Drops)) // the kernel starts its count anew each time it is asked
}

// SetReadDeadline makes a Read that waits until then return os.ErrDeadlineExceeded.
func (p *Packet) SetReadDeadline(t time.Time) error { return p.socket.SetReadDeadline(t) }

// Close implements Conn.
func (p *Packet) Close() error { return p.socket.Close() }
