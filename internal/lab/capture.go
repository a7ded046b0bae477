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

// Seen is a frame that a Capture has recorded.
type Seen struct {
	At    time.Time // when the Capture read it, a little after it passed the interface
	Sent  bool      // it left by the interface; if false, it arrived there
	Frame []byte
}

// Capture records every frame that arrives at or leaves an interface, as tcpdump does, and sends any bytes from there.
type Capture struct {
	conn  *wire.Packet
	out   *wire.Packet // for Send: conn would not record frames that it sends itself
	index int

	sending sync.Mutex

	mu   sync.Mutex
	seen []Seen
	more chan struct{} // closed and replaced when seen has grown
	done chan struct{} // closed when the recording has ended
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

// Send sends a frame out of the interface. It returns an error if the frame did not leave. Several goroutines may call
// it at once.
func (c *Capture) Send(frame []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	n, err := c.out.Write([]wire.Frame{{Port: c.index, Data: frame}})
	if err == nil && n != 1 {
		err = fmt.Errorf("a frame of %d bytes did not leave the interface", len(frame))
	}
	return err
}

// Frames returns the frames recorded so far.
func (c *Capture) Frames() []Seen {
	seen, _ := c.now()
	return seen
}

// HasReceived reports whether a received frame that begins with these bytes is among the frames recorded so far. Behind them may be
// padding.
func (c *Capture) HasReceived(frame []byte) bool {
	return slices.ContainsFunc(c.Frames(), func(seen Seen) bool { return !seen.Sent && bytes.HasPrefix(seen.Frame, frame) })
}

// Wait waits until enough returns true for the frames recorded so far. It returns the error of ctx if that ends first.
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

// now returns the frames recorded so far, and a channel that is closed when there are more.
func (c *Capture) now() (seen []Seen, more <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen), c.more
}

// Close ends the recording. Frames still returns what was recorded.
func (c *Capture) Close() error {
	err := errors.Join(c.conn.Close(), c.out.Close())
	<-c.done
	return err
}
