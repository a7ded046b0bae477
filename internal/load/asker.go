// Package load asks for addresses as fast as they are answered, and measures it. It sends and reads in
// batches, so that it is not what is measured.
package load

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/sys/unix"
)

const (
	// patience is how long an answer may take. A request that has none by then is lost, and sent again.
	patience = 100 * time.Millisecond

	// attempts is how often a request is sent before it is an error that nobody answers.
	attempts = 20
)

// Asker asks for addresses out of an interface, and reads the answers there.
type Asker struct {
	conn     *wire.Packet
	requests []request
	next     int                 // into requests
	waiting  map[ipv4]wire.Frame // requests without an answer
	frames   []wire.Frame        // that are sent, or were read
}

// ipv4 is an address as it stands in a frame.
type ipv4 [4]byte

type request struct {
	target ipv4
	frame  wire.Frame
}

// Open makes an Asker in the network namespace of the calling thread. It asks as the guest that has addr
// and the MAC of the interface of that name, for the targets in turn.
func Open(name string, addr netip.Addr, targets []netip.Addr) (*Asker, error) {
	eth, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	a := &Asker{waiting: map[ipv4]wire.Frame{}, frames: make([]wire.Frame, wire.MaxBatch)}
	for _, target := range targets {
		data, err := requestFrame(eth.HardwareAddr, addr, target)
		if err != nil {
			return nil, fmt.Errorf("a request for %s: %w", target, err)
		}
		a.requests = append(a.requests, request{target.As4(), wire.Frame{Port: eth.Index, Data: data}})
	}
	a.conn, err = wire.OpenPacket(eth.Index, unix.ETH_P_ARP)
	return a, err
}

// Close closes the Asker's socket.
func (a *Asker) Close() error { return a.conn.Close() }

func requestFrame(mac net.HardwareAddr, addr, target netip.Addr) ([]byte, error) {
	packet, err := arp.NewPacket(arp.OperationRequest, mac, addr, ethernet.Broadcast, target)
	if err != nil {
		return nil, err
	}
	payload, err := packet.MarshalBinary()
	if err != nil {
		return nil, err
	}
	frame := ethernet.Frame{
		Destination: ethernet.Broadcast,
		Source:      mac,
		EtherType:   ethernet.EtherTypeARP,
		Payload:     payload,
	}
	return frame.MarshalBinary()
}

// Result is how the answers came.
type Result struct {
	Times []time.Duration // from when the burst was sent to each answer
	Lost  int             // requests that had no answer in time, and were sent again
}

// Ask sends n requests, burst at a time (1 to wire.MaxBatch), each burst when the one before is answered.
// It is an error if a request stays without an answer.
func (a *Asker) Ask(n, burst int) (Result, error) {
	r := Result{Times: make([]time.Duration, 0, n)}
	for left := n; left > 0; left -= burst {
		if err := a.ask(min(left, burst), &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (a *Asker) ask(burst int, r *Result) error {
	for range burst {
		asked := a.requests[a.next]
		a.waiting[asked.target] = asked.frame
		a.next = (a.next + 1) % len(a.requests)
	}
	sent := time.Now()
	for range attempts {
		if err := a.send(); err != nil {
			return err
		}
		err := a.read(sent, r)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		r.Lost += len(a.waiting)
	}
	return fmt.Errorf("%d requests were sent %d times and not answered", len(a.waiting), attempts)
}

// send sends the requests that wait for an answer.
func (a *Asker) send() error {
	n := 0
	for _, frame := range a.waiting {
		a.frames[n] = frame
		n++
	}
	_, err := a.conn.Write(a.frames[:n])
	return err
}

// read reads until no request waits, or patience ends.
func (a *Asker) read(sent time.Time, r *Result) error {
	if err := a.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	for len(a.waiting) > 0 {
		n, err := a.conn.Read(a.frames)
		if err != nil {
			return err
		}
		took := time.Since(sent)
		for _, frame := range a.frames[:n] {
			if a.take(frame.Data) {
				r.Times = append(r.Times, took)
			}
		}
	}
	return nil
}

// take reports whether a frame answers a request that waits. That then waits no more.
func (a *Asker) take(frame []byte) bool {
	const (
		operation, sender, end = 20, 28, 42 // RFC 826, behind 14 bytes of Ethernet header
	)
	if len(frame) < end || !bytes.Equal(frame[operation:operation+2], []byte{0, byte(arp.OperationReply)}) {
		return false
	}
	target := ipv4(frame[sender:])
	_, waits := a.waiting[target]
	delete(a.waiting, target)
	return waits
}
