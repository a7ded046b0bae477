package wire

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/arpfabric/arpfabric/internal/wire/mmsg"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// Packet is a Conn over one packet socket (packet(7)).
type Packet struct {
	socket   *socket.Conn
	protocol uint16
	receiver *mmsg.Receiver
	sender   *mmsg.Sender
	lost     atomic.Uint64
}

// OpenPacket opens a packet socket. It reads the frames of one EtherType that arrive at an interface; with
// unix.ETH_P_ALL, it reads all frames that arrive there or leave from there; with protocol 0, it reads none. It writes
// out of any interface. OpenPacket needs CAP_NET_RAW.
func OpenPacket(ifindex int, protocol uint16) (*Packet, error) {
	return openPacket(ifindex, protocol, func(*socket.Conn) error { return nil })
}

// openPacket calls prepare to set options on the socket before it is bound, and so before any frame can arrive.
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
	p.sender = mmsg.NewSender(conn)
	if p.protocol == 0 {
		return nil
	}
	p.receiver = mmsg.NewReceiver(conn, SnapLen, tagLen, auxdataSpace)
	if err := p.socket.SetsockoptInt(unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return fmt.Errorf("asking for VLAN tags (PACKET_AUXDATA): %w", err)
	}
	if err := p.socket.SetReadBuffer(receiveBuffer); err != nil {
		return fmt.Errorf("setting the receive buffer: %w", err)
	}
	return p.Bind(ifindex)
}

// SetMark sets the mark of the frames that p sends (SO_MARK in socket(7)), which rules can match.
func (p *Packet) SetMark(mark uint32) error {
	if err := p.socket.SetsockoptInt(unix.SOL_SOCKET, unix.SO_MARK, int(mark)); err != nil {
		return fmt.Errorf("marking answers (SO_MARK): %w", err)
	}
	return nil
}

// Bind makes p read from another interface. An interface that was deleted and made again has another index.
func (p *Packet) Bind(ifindex int) error {
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, p.protocol))
	if err := p.socket.Bind(&unix.SockaddrLinklayer{Protocol: protocol, Ifindex: ifindex}); err != nil {
		return fmt.Errorf("binding a packet socket to interface index %d: %w", ifindex, err)
	}
	return nil
}

// Read implements Conn.
func (p *Packet) Read(batch []Frame) (int, error) {
	n, err := p.receiver.Receive(len(batch))
	switch err {
	case unix.ENETDOWN: // returned once when the interface goes down or away; Read waits until it is up, or Bind is called
		return 0, nil
	case unix.ENOBUFS:
		p.lost.Add(1)
		return 0, nil
	}
	for i := range n {
		batch[i] = Frame{Port: int(p.receiver.From(i).Ifindex), Data: p.frame(i)}
	}
	return n, err
}

// Outgoing reports whether frame i of the last Read left by the interface.
func (p *Packet) Outgoing(i int) bool { return p.receiver.From(i).Pkttype == unix.PACKET_OUTGOING }

// auxdataSpace is the room for a struct tpacket_auxdata (packet(7)) in a control message, in bytes.
var auxdataSpace = unix.CmsgSpace(int(unsafe.Sizeof(unix.TpacketAuxdata{})))

// tagLen is the length of a VLAN tag (IEEE 802.1Q), in bytes.
const tagLen = 4

// frame returns datagram i with its outermost VLAN tag, which the kernel has moved from the frame to the auxiliary
// data.
func (p *Packet) frame(i int) []byte {
	r := p.receiver
	data := r.Data(i)
	aux := (*unix.TpacketAuxdata)(r.Control(i, unix.SOL_PACKET, unix.PACKET_AUXDATA))
	if aux == nil || aux.Status&unix.TP_STATUS_VLAN_VALID == 0 || len(data) < macsLen {
		return data
	}
	tpid := uint16(ethernet.EtherTypeVLAN)
	if aux.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = aux.Vlan_tpid
	}
	tagged := data[:len(data)+tagLen]
	copy(tagged[macsLen+tagLen:], data[macsLen:])
	putTag(tagged, tpid, aux.Vlan_tci)
	return tagged
}

// macsLen is the length of the destination and source MACs, which a VLAN tag follows, in bytes.
const macsLen = 12

func putTag(frame []byte, tpid, tci uint16) {
	binary.BigEndian.PutUint16(frame[macsLen:], tpid)
	binary.BigEndian.PutUint16(frame[macsLen+2:], tci)
}

// Write implements Conn.
func (p *Packet) Write(batch []Frame) (int, error) {
	sent := 0
	for len(batch) > 0 {
		n := min(len(batch), MaxBatch)
		for i, f := range batch[:n] {
			p.sender.Set(i, f.Port, f.Data)
		}
		left, err := p.sender.Send(n)
		sent += left
		if err != nil {
			return sent, err
		}
		batch = batch[n:]
	}
	return sent, nil
}

// Lost implements Conn.
func (p *Packet) Lost() uint64 {
	if p.protocol == 0 {
		return 0
	}
	stats, err := p.socket.GetsockoptTpacketStats(unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return p.lost.Load()
	}
	return p.lost.Add(uint64(stats.Drops)) // the kernel resets its count at each read
}

// Close implements Conn.
func (p *Packet) Close() error { return p.socket.Close() }
