package wire

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/arpfabric/arpfabric/internal/wire/mmsg"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Group is the NFLOG group that the datapath's rules log frames to. The fabric cannot start while another program
// listens on it.
const Group = 16722 // "AR" in ASCII

// LocationPrefix is the prefix with which rules log a frame that only shows behind which port its source is.
const LocationPrefix = "location"

// NFLOG reads the frames that rules with nftables' `log group` statement match (linux/netfilter/nfnetlink_log.h), each
// with its port. It needs no list of ports: the rules choose the frames.
type NFLOG struct {
	conn     *netlink.Conn
	receiver *mmsg.Receiver
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
	attrPrefix  = 10
	attrVLAN    = 20
	attrL2Hdr   = 21
	attrMask    = 0x3fff // the type, without the flags for nesting and byte order
	vlanProto   = 1
	vlanTCI     = 2
)

const (
	nlmsgHeaderLen = 16
	nfgenHeaderLen = 4
	attrHeaderLen  = 4

	// nflogDatagramLen is enough for one message, in bytes: the frame, and all attributes around it.
	nflogDatagramLen = SnapLen + 512
)

// OpenNFLOG opens a netlink socket and binds [Group]. It needs CAP_NET_ADMIN and the kernel module nfnetlink_log. It
// returns an error if another process of the network namespace has the group.
func OpenNFLOG() (*NFLOG, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for NFLOG: %w", err)
	}
	l := &NFLOG{conn: conn}
	if err := l.setUp(); err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

func (l *NFLOG) setUp() error {
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
	l.receiver = mmsg.NewReceiver(raw, nflogDatagramLen, 0, 0)
	return nil
}

// bindGroup binds an NFLOG group.
func bindGroup(conn *netlink.Conn, group uint16) error {
	// The kernel returns EPERM both to a process without the privilege and if another process has the group. PF_BIND
	// tells the two apart: it also needs the privilege, and has had no effect since Linux 3.9.
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

// configure sends an NFULNL_MSG_CONFIG message with one attribute and waits for the acknowledgement.
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

// Lost returns how many times frames were lost, as [Conn.Lost] does.
func (l *NFLOG) Lost() uint64 { return l.lost.Load() }

// Close makes a waiting Read return, and releases the group.
func (l *NFLOG) Close() error { return l.conn.Close() }

// Read reads frames as [Conn.Read] does.
func (l *NFLOG) Read(batch []Frame) (int, error) {
	n, err := l.receiver.Receive(len(batch))
	if err == unix.ENOBUFS {
		l.lost.Add(1)
		return 0, nil
	}
	frames := 0
	for i := range n {
		if f, ok := parseNFLOG(l.receiver.Data(i)); ok {
			batch[frames] = f
			frames++
		}
	}
	return frames, err
}

// parseNFLOG returns the frame in an NFULNL_MSG_PACKET message. It assembles the frame inside the datagram, and so
// allocates nothing: it writes the Ethernet header, which the kernel delivers as an attribute of its own, in front of
// the payload, over attributes that it has read already. It returns false if the message is of another kind or is
// damaged.
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
	m := nflogMessage{family: datagram[nlmsgHeaderLen], payloadStart: at, payloadEnd: at} // a frame of 14 bytes has no payload
	for at+attrHeaderLen <= length {
		attrLen := int(binary.NativeEndian.Uint16(datagram[at:]))
		if attrLen < attrHeaderLen || at+attrLen > length {
			return Frame{}, false
		}
		m.readAttribute(binary.NativeEndian.Uint16(datagram[at+2:])&attrMask, datagram, at+attrHeaderLen, at+attrLen)
		at += (attrLen + 3) &^ 3 // attributes are padded to 4 bytes
	}
	return m.frame(datagram)
}

// nflogMessage has the attributes of a message that matter: the port, and where in the datagram the frame's parts are.
type nflogMessage struct {
	family                   byte
	in, physIn, out, physOut int               // ifindexes; 0 if the message has none
	header                   [macsLen + 2]byte // the Ethernet header
	hasHeader                bool
	tagged                   bool
	onlyLocates              bool
	tpid, tci                uint16
	payloadStart, payloadEnd int
}

func (m *nflogMessage) readAttribute(attr uint16, datagram []byte, start, end int) {
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
		m.readTag(value)
	case attr == attrPrefix:
		m.onlyLocates = string(bytes.TrimRight(value, "\x00")) == LocationPrefix
	case attr == attrPayload:
		m.payloadStart, m.payloadEnd = start, end
	}
}

// readTag reads the nested attribute NFULA_VLAN: two 16-bit values in network byte order, each padded to 4 bytes.
func (m *nflogMessage) readTag(nested []byte) {
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

// splitPayload moves the Ethernet header from the payload to header. In a frame on its way out of an interface, the
// payload begins with the Ethernet header, and the attribute for the header may have more than 14 bytes.
func (m *nflogMessage) splitPayload(datagram []byte) {
	start := m.payloadStart + len(m.header)
	if m.hasHeader = start <= m.payloadEnd; m.hasHeader {
		m.header, m.payloadStart = [macsLen + 2]byte(datagram[m.payloadStart:start]), start
	}
}

func (m *nflogMessage) frame(datagram []byte) (Frame, bool) {
	if m.family == unix.NFPROTO_NETDEV && m.in == 0 {
		m.splitPayload(datagram)
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

	// With bridge netfilter, in and out are the bridge, and physIn and physOut the port. Without it, in and out are the
	// port, and the other two are missing.
	if port := cmp.Or(m.physIn, m.in); port != 0 {
		return Frame{Port: port, Data: data, OnlyLocates: m.onlyLocates}, true
	}
	return Frame{Port: cmp.Or(m.physOut, m.out), Data: data, FromHost: true}, true
}
