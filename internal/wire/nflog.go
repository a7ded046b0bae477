package wire

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Group is the NFLOG group on which the guard hands frames over. Another program that listens there
// keeps the fabric from starting.
const Group = 16722 // "AR" in ASCII

// nflog reads the frames that nftables' `log group` statement hands over
// (linux/netfilter/nfnetlink_log.h).
type nflog struct {
	conn     *netlink.Conn
	receiver *receiver
	lost     atomic.Uint64
}

// Messages and attributes of nfnetlink_log.
const (
	subsysULOG  = 4
	msgPacket   = 0
	msgConfig   = 1
	cmdBind     = 1
	cmdPFBind   = 3
	copyPacket  = 2
	cfgCmd      = 1
	cfgMode     = 2
	cfgQThresh  = 5
	attrInDev   = 4
	attrOutDev  = 5
	attrPhysIn  = 6
	attrPhysOut = 7
	attrPayload = 9
	attrVLAN    = 20
	attrL2Hdr   = 21
	attrMask    = 0x3fff // without the flags for nested and byte order
	vlanProto   = 1
	vlanTCI     = 2
)

const (
	nlmsgHeaderLen = 16
	nfgenHeaderLen = 4
	attrHeaderLen  = 4

	// nflogDatagramLen is room for one message: the frame and, generously, all attributes around it.
	nflogDatagramLen = SnapLen + 512
)

func openNFLOG() (*nflog, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for NFLOG: %w", err)
	}
	l := &nflog{conn: conn}
	if err := l.setUp(); err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

func (l *nflog) setUp() error {
	if err := l.conn.SetReadBuffer(receiveBuffer); err != nil {
		return fmt.Errorf("setting the receive buffer: %w", err)
	}
	if err := bindGroup(l.conn, Group); err != nil {
		return err
	}
	copyRange := binary.BigEndian.AppendUint32(nil, SnapLen)
	if err := configure(l.conn, Group, cfgMode, append(copyRange, copyPacket, 0)); err != nil {
		return fmt.Errorf("setting NFLOG's copy range: %w", err)
	}
	// With a threshold above 1 the kernel waits up to 10 ms for the second frame.
	if err := configure(l.conn, Group, cfgQThresh, binary.BigEndian.AppendUint32(nil, 1)); err != nil {
		return fmt.Errorf("setting NFLOG's queue threshold: %w", err)
	}
	raw, err := l.conn.SyscallConn()
	if err != nil {
		return err
	}
	l.receiver = newReceiver(raw, nflogDatagramLen, 0)
	return nil
}

// bindGroup takes an NFLOG group. The kernel says EPERM to a process without the privilege, and also where another
// process has the group. Only the former can't do the command before, which has no effect since Linux 3.9.
func bindGroup(conn *netlink.Conn, group uint16) error {
	err := configure(conn, group, cfgCmd, []byte{cmdPFBind})
	allowed := err == nil
	if allowed {
		err = configure(conn, group, cfgCmd, []byte{cmdBind})
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM) && allowed, errors.Is(err, unix.EBUSY):
		return groupInUse(group)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("binding NFLOG group %d: not permitted; run as root or with CAP_NET_ADMIN", group)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		return fmt.Errorf("the kernel has no NFLOG; load it with 'modprobe nfnetlink_log' (CONFIG_NETFILTER_NETLINK_LOG): %w", err)
	}
	return fmt.Errorf("binding NFLOG group %d: %w", group, err)
}

// groupInUse is the error of an NFLOG group that another process has.
type groupInUse uint16

func (g groupInUse) Error() string {
	return fmt.Sprintf("NFLOG group %d is in use: another fabric or a logger (ulogd?) runs in this network namespace; stop it", uint16(g))
}

// configure sends one NFULNL_MSG_CONFIG message with one attribute and waits for its acknowledgement.
func configure(conn *netlink.Conn, group, attr uint16, value []byte) error {
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: attr, Data: value}})
	if err != nil {
		return err
	}
	nfgen := []byte{unix.AF_UNSPEC, 0, byte(group >> 8), byte(group)} // family, version, group in network order
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: subsysULOG<<8 | msgConfig, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append(nfgen, attrs...),
	})
	return err
}

// read fills batch as Conn.Read does.
func (l *nflog) read(batch []Frame) (int, error) {
	n, err := l.receiver.receive(len(batch))
	if err == unix.ENOBUFS {
		l.lost.Add(1)
		return 0, nil
	}
	frames := 0
	for i := range n {
		if f, ok := parseNFLOG(l.receiver.data(i)); ok {
			batch[frames] = f
			frames++
		}
	}
	return frames, err
}

// parseNFLOG finds the frame in a datagram of one NFULNL_MSG_PACKET message, and puts it together in
// place: the Ethernet header, which the kernel delivers apart, goes in front of the payload, over
// attributes that have been read by then.
func parseNFLOG(datagram []byte) (Frame, bool) {
	if len(datagram) < nlmsgHeaderLen+nfgenHeaderLen {
		return Frame{}, false
	}
	length := int(binary.NativeEndian.Uint32(datagram))
	kind := binary.NativeEndian.Uint16(datagram[4:])
	if kind != subsysULOG<<8|msgPacket || length > len(datagram) || length < nlmsgHeaderLen+nfgenHeaderLen {
		return Frame{}, false
	}
	at := nlmsgHeaderLen + nfgenHeaderLen
	m := nflogMessage{family: datagram[nlmsgHeaderLen], payloadStart: at, payloadEnd: at} // a frame of a header alone comes without payload
	for at+attrHeaderLen <= length {
		attrLen := int(binary.NativeEndian.Uint16(datagram[at:]))
		if attrLen < attrHeaderLen || at+attrLen > length {
			return Frame{}, false
		}
		m.take(binary.NativeEndian.Uint16(datagram[at+2:])&attrMask, datagram, at+attrHeaderLen, at+attrLen)
		at += (attrLen + 3) &^ 3
	}
	return m.frame(datagram)
}

// nflogMessage is what matters of a message: the port, and where in the datagram the frame's parts are.
type nflogMessage struct {
	family                   byte
	in, physIn, out, physOut int               // ifindexes; 0 where there is none
	header                   [macsLen + 2]byte // the Ethernet header
	hasHeader                bool
	tagged                   bool
	tpid, tci                uint16
	payloadStart, payloadEnd int
}

func (m *nflogMessage) take(attr uint16, datagram []byte, start, end int) {
	value := datagram[start:end]
	switch {
	case attr == attrInDev && len(value) == 4:
		m.in = int(binary.BigEndian.Uint32(value))
	case attr == attrPhysIn && len(value) == 4:
		m.physIn = int(binary.BigEndian.Uint32(value))
	case attr == attrOutDev && len(value) == 4:
		m.out = int(binary.BigEndian.Uint32(value))
	case attr == attrPhysOut && len(value) == 4:
		m.physOut = int(binary.BigEndian.Uint32(value))
	case attr == attrL2Hdr && len(value) == len(m.header):
		m.header, m.hasHeader = [macsLen + 2]byte(value), true
	case attr == attrVLAN:
		m.takeTag(value)
	case attr == attrPayload:
		m.payloadStart, m.payloadEnd = start, end
	}
}

// takeTag reads the nested attribute NFULA_VLAN: two 16-bit values in network order, each padded to 4.
func (m *nflogMessage) takeTag(nested []byte) {
	for len(nested) >= attrHeaderLen+2 {
		value := binary.BigEndian.Uint16(nested[attrHeaderLen:])
		switch binary.NativeEndian.Uint16(nested[2:]) & attrMask {
		case vlanProto:
			m.tpid, m.tagged = value, true
		case vlanTCI:
			m.tci, m.tagged = value, true
		}
		nested = nested[min(len(nested), attrHeaderLen+4):]
	}
}

// takeHeader takes the Ethernet header off the payload. What is about to leave by an interface still has it there; the
// header that comes apart may have more than 14 bytes then.
func (m *nflogMessage) takeHeader(datagram []byte) {
	start := m.payloadStart + len(m.header)
	if m.hasHeader = start <= m.payloadEnd; m.hasHeader {
		m.header, m.payloadStart = [macsLen + 2]byte(datagram[m.payloadStart:start]), start
	}
}

func (m *nflogMessage) frame(datagram []byte) (Frame, bool) {
	if m.family == unix.NFPROTO_NETDEV && m.in == 0 {
		m.takeHeader(datagram)
	}
	start := m.payloadStart - len(m.header)
	if m.tagged {
		start -= tagLen
	}
	if !m.hasHeader || start < 0 {
		return Frame{}, false
	}
	data := datagram[start:m.payloadEnd]
	n := copy(data, m.header[:macsLen])
	if m.tagged {
		putTag(data, m.tpid, m.tci)
		n += tagLen
	}
	copy(data[n:], m.header[macsLen:])

	// Kernels built without bridge netfilter name the port alone, as in or out; others name the bridge so.
	if port := cmp.Or(m.physIn, m.in); port != 0 {
		return Frame{Port: port, Data: data}, true
	}
	return Frame{Port: cmp.Or(m.physOut, m.out), Data: data, FromHost: true}, true
}
