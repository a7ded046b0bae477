package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/internal/wire"
	"golang.org/x/sys/unix"
)

// Seen is a frame that a Capture has seen.
type Seen struct {
	At    time.Time // when the Capture read it, a little after it passed
	Sent  bool      // it left by the interface; otherwise it arrived there
	Frame []byte
}

// Capture records every frame that arrives at or leaves an interface, a guest's eth0 for one, as tcpdump would, and
// sends any bytes from there.
type Capture struct {
	conn  *wire.Packet
	out   *wire.Packet // a packet socket does not see what it sends itself
	index int

	sending sync.Mutex

	mu   sync.Mutex
	seen []Seen
	more chan struct{} // closed, and made anew, when seen has grown
	done chan struct{}
}

// StartCapture starts recording at the guest's eth0. Close ends it.
func (g *Guest) StartCapture() (c *Capture, err error) {
	err = g.Do(func() error {
		c, err = StartCapture("eth0")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("capturing in %s: %w", g.Name, err)
	}
	return c, nil
}

// StartCapture starts recording at an interface of the host. Close ends it.
func StartCapture(name string) (*Capture, error) {
	c := &Capture{more: make(chan struct{}), done: make(chan struct{})}
	l, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("capturing on %s: %w", name, err)
	}
	c.index = l.Index
	if err := c.open(); err != nil {
		return nil, fmt.Errorf("capturing on %s: %w", name, err)
	}
	go c.record()
	return c, nil
}

func (c *Capture) open() (err error) {
	if c.conn, err = wire.OpenPacket(c.index, unix.ETH_P_ALL); err != nil {
		return err
	}
	if c.out, err = wire.OpenPacket(0, 0); err != nil {
		c.conn.Close()
	}
	return err
}

func (c *Capture) record() {
	defer close(c.done)
	batch := make([]wire.Frame, wire.MaxBatch)
	for {
		n, err := c.conn.Read(batch)
		if err != nil {
			return
		}
		now := time.Now()
		c.mu.Lock()
		for i, f := range batch[:n] {
			c.seen = append(c.seen, Seen{At: now, Sent: c.conn.Outgoing(i), Frame: bytes.Clone(f.Data)})
		}
		close(c.more)
		c.more = make(chan struct{})
		c.mu.Unlock()
	}
}

// Send sends a frame out of the interface. It is an error if it did not leave. Several goroutines may call it at once.
func (c *Capture) Send(frame []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	n, err := c.out.Write([]wire.Frame{{Port: c.index, Data: frame}})
	if err == nil && n != 1 {
		err = fmt.Errorf("a frame of %d bytes did not leave the interface", len(frame))
	}
	return err
}

// Frames returns what was seen so far.
func (c *Capture) Frames() []Seen {
	seen, _ := c.now()
	return seen
}

// Wait waits until what was seen so far is enough. Its error is that of ctx.
func (c *Capture) Wait(ctx context.Context, enough func([]Seen) bool) error {
	for {
		seen, more := c.now()
		if enough(seen) {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// now returns what was seen so far, and what is closed when there is more.
func (c *Capture) now() (seen []Seen, more <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen), c.more
}

// Close ends the recording. Frames can still be asked for.
func (c *Capture) Close() error {
	err := errors.Join(c.conn.Close(), c.out.Close())
	<-c.done
	return err
}
