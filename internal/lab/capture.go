package lab

import (
	"bytes"
	"fmt"
	"net"
	"sync"

	"github.com/arpfabric/arpfabric/internal/wire"
	"golang.org/x/sys/unix"
)

// Seen is a frame that a Capture has seen.
type Seen struct {
	Sent  bool // it left by the interface; otherwise it arrived there
	Frame []byte
}

// Capture records every frame that arrives at or leaves a guest's eth0, as tcpdump would, and sends any
// bytes from there.
type Capture struct {
	conn  *wire.Packet
	index int

	mu   sync.Mutex
	seen []Seen
	done chan struct{}
}

// StartCapture starts recording. Close ends it.
func (g *Guest) StartCapture() (*Capture, error) {
	c := &Capture{done: make(chan struct{})}
	err := g.Do(func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		c.index = eth0.Index
		c.conn, err = wire.OpenPacket(c.index, unix.ETH_P_ALL)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("capturing in %s: %w", g.Name, err)
	}
	go c.record()
	return c, nil
}

func (c *Capture) record() {
	defer close(c.done)
	batch := make([]wire.Frame, wire.MaxBatch)
	for {
		n, err := c.conn.Read(batch)
		if err != nil {
			return
		}
		c.mu.Lock()
		for i, f := range batch[:n] {
			c.seen = append(c.seen, Seen{Sent: c.conn.Outgoing(i), Frame: bytes.Clone(f.Data)})
		}
		c.mu.Unlock()
	}
}

// Send sends a frame out of eth0. It is an error if it did not leave.
func (c *Capture) Send(frame []byte) error {
	n, err := c.conn.Write([]wire.Frame{{Port: c.index, Data: frame}})
	if err == nil && n != 1 {
		err = fmt.Errorf("a frame of %d bytes did not leave eth0", len(frame))
	}
	return err
}

// Frames returns what was seen so far.
func (c *Capture) Frames() []Seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Seen(nil), c.seen...)
}

// Close ends the recording. Frames can still be asked for.
func (c *Capture) Close() error {
	err := c.conn.Close()
	<-c.done
	return err
}
