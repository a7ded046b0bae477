package wire

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Bridge is the Conn for all guest ports of all bridges, and for sidecars: the guard hands their frames over through NFLOG,
// and answers leave by one packet socket, straight out of the port. That way the bridge never sees an
// answer, so it can't learn the owner's MAC on a wrong port.
//
// The sockets belong to no port: ports, and bridges, may come and go.
type Bridge struct {
	log *nflog
	out *Packet
}

// OpenBridge opens the sockets. It needs CAP_NET_ADMIN and CAP_NET_RAW, and Linux's nfnetlink_log. Only
// one Bridge can be open in a network namespace: whoever has the NFLOG group is the fabric.
func OpenBridge() (*Bridge, error) {
	log, err := openNFLOG()
	if err != nil {
		return nil, err
	}
	out, err := OpenPacket(0, 0)
	if err != nil {
		log.conn.Close()
		return nil, err
	}
	return &Bridge{log: log, out: out}, nil
}

// Mark makes answers carry a mark (SO_MARK in socket(7)), by which rules can tell them from others' frames.
func (b *Bridge) Mark(mark uint32) error {
	if err := b.out.socket.SetsockoptInt(unix.SOL_SOCKET, unix.SO_MARK, int(mark)); err != nil {
		return fmt.Errorf("marking answers (SO_MARK): %w", err)
	}
	return nil
}

// Read implements Conn.
func (b *Bridge) Read(batch []Frame) (int, error) { return b.log.read(batch) }

// Write implements Conn.
func (b *Bridge) Write(batch []Frame) (int, error) { return b.out.Write(batch) }

// Lost implements Conn.
func (b *Bridge) Lost() uint64 { return b.log.lost.Load() }

// Close implements Conn.
func (b *Bridge) Close() error {
	err := b.log.conn.Close()
	if e := b.out.Close(); err == nil {
		err = e
	}
	return err
}
