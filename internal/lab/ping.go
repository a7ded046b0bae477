package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Ping sends an echo request (RFC 792) by the guest's own stack, and returns how long the reply took.
func (g *Guest) Ping(ctx context.Context, to netip.Addr) (time.Duration, error) {
	e, err := g.openEcho()
	if err != nil {
		return 0, err
	}
	defer e.conn.Close()
	defer context.AfterFunc(ctx, func() { _ = e.conn.SetReadDeadline(time.Unix(1, 0)) })()
	start := time.Now()
	if err := e.request(to, 0); err != nil {
		return 0, fmt.Errorf("pinging %s from %s: %w", to, g.Name, err)
	}
	err = e.reply()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return time.Since(start), err
}

// A Pinger sends echo requests at an interval, and counts the replies.
type Pinger struct {
	echo     *echo
	sent     atomic.Int64
	answered atomic.Int64
	stop     chan struct{}
	end      func() // closes stop
	running  sync.WaitGroup
}

// StartPinger starts a Pinger by the guest's own stack. Stop ends it.
func (g *Guest) StartPinger(to netip.Addr, interval time.Duration) (*Pinger, error) {
	e, err := g.openEcho()
	if err != nil {
		return nil, err
	}
	p := &Pinger{echo: e, stop: make(chan struct{})}
	p.end = sync.OnceFunc(func() { close(p.stop) })
	p.running.Go(func() { p.send(to, interval) })
	p.running.Go(p.count)
	return p, nil
}

func (p *Pinger) send(to netip.Addr, interval time.Duration) {
	pause := time.NewTicker(interval)
	defer pause.Stop()
	for {
		_ = p.echo.request(to, uint16(p.sent.Add(1))) // one that cannot leave is one without a reply
		select {
		case <-pause.C:
		case <-p.stop:
			return
		}
	}
}

func (p *Pinger) count() {
	for p.echo.reply() == nil {
		p.answered.Add(1)
	}
}

// Stop ends the Pinger, and returns how many requests were sent, and how many replies came. It waits a little for the last replies.
func (p *Pinger) Stop() (sent, answered int) {
	const patience = time.Second
	p.end()
	for start := time.Now(); p.answered.Load() < p.sent.Load() && time.Since(start) < patience; time.Sleep(time.Millisecond) {
	}
	p.echo.conn.Close()
	p.running.Wait()
	return int(p.sent.Load()), int(p.answered.Load())
}

// An echo is a socket for echo requests and their replies.
type echo struct {
	conn net.PacketConn
	id   uint16 // which the replies have, too
}

var lastEcho atomic.Uint32

func (g *Guest) openEcho() (e *echo, err error) {
	e = &echo{id: uint16(lastEcho.Add(1))}
	err = g.Do(func() error {
		e.conn, err = net.ListenPacket("ip4:icmp", "")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening a socket for pings in %s: %w", g.Name, err)
	}
	return e, nil
}

const echoRequest, echoReply = 8, 0 // RFC 792

func (e *echo) request(to netip.Addr, sequence uint16) error {
	message := make([]byte, 8)
	message[0] = echoRequest
	binary.BigEndian.PutUint16(message[4:], e.id)
	binary.BigEndian.PutUint16(message[6:], sequence)
	binary.BigEndian.PutUint16(message[2:], Checksum(message))
	_, err := e.conn.WriteTo(message, &net.IPAddr{IP: to.AsSlice()})
	return err
}

// reply waits for the next reply. Without a reply, it returns the error of a socket that was closed, or whose time is up.
func (e *echo) reply() error {
	message := make([]byte, 64) // the socket receives all of the guest's ICMP
	for {
		n, _, err := e.conn.ReadFrom(message)
		if err != nil {
			return err
		}
		if n >= 8 && message[0] == echoReply && binary.BigEndian.Uint16(message[4:]) == e.id {
			return nil
		}
	}
}
