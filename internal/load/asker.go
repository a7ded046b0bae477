package load

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
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

// An asker sends requests out of an interface and reads the answers there.
type asker struct {
	conn     *wire.Packet
	requests []request
	next     int                 // into requests
	waiting  map[ipv4]wire.Frame // requests without an answer
	frames   []wire.Frame        // that are sent, or were read
	times    []time.Duration     // from when its burst was sent until each answer arrived
	lost     int
}

// ipv4 is an address as it stands in a frame.
type ipv4 [4]byte

type request struct {
	target ipv4
	frame  wire.Frame
}

func newAsker(o Order) (*asker, error) {
	eth, err := net.InterfaceByName(o.Interface)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Interface, err)
	}
	a := &asker{waiting: map[ipv4]wire.Frame{}, frames: make([]wire.Frame, wire.MaxBatch)}
	for _, target := range o.Targets {
		data, err := requestFrame(eth.HardwareAddr, o.Sender, target)
		if err != nil {
			return nil, fmt.Errorf("a request for %s: %w", target, err)
		}
		a.requests = append(a.requests, request{target.As4(), wire.Frame{Port: eth.Index, Data: data}})
	}
	if a.conn, err = wire.OpenPacket(eth.Index, unix.ETH_P_ARP); err != nil {
		return nil, err
	}
	return a, a.conn.StampArrivals()
}

func requestFrame(mac net.HardwareAddr, sender, target netip.Addr) ([]byte, error) {
	packet, err := arp.NewPacket(arp.OperationRequest, mac, sender, ethernet.Broadcast, target)
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

// ask sends the requests in bursts, each when the one before is answered.
func (a *asker) ask(o Order) (Result, error) {
	a.times = make([]time.Duration, 0, o.Requests)
	start := time.Now()
	for left := o.Requests; left > 0; left -= o.Burst {
		time.Sleep(o.Pause)
		if err := a.askBurst(min(left, o.Burst)); err != nil {
			return Result{}, err
		}
	}
	took := time.Since(start)
	slices.Sort(a.times)
	return Result{Took: took, P99: a.times[(o.Requests-1)*99/100], Lost: a.lost}, nil
}

// flood sends so many requests a second, in turn, and reads no answers.
func (a *asker) flood(rate int) error {
	start := time.Now()
	for sent := 0; ; time.Sleep(50 * time.Microsecond) {
		for due := int(time.Since(start).Seconds() * float64(rate)); sent < due; sent += len(a.frames) {
			for i := range a.frames {
				a.frames[i] = a.requests[a.next].frame
				a.next = (a.next + 1) % len(a.requests)
			}
			if _, err := a.conn.Write(a.frames); err != nil {
				return err
			}
		}
	}
}

func (a *asker) askBurst(size int) error {
	for range size {
		asked := a.requests[a.next]
		a.waiting[asked.target] = asked.frame
		a.next = (a.next + 1) % len(a.requests)
	}
	start := time.Now()
	for range attempts {
		if err := a.send(); err != nil {
			return err
		}
		err := a.read(start)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		a.lost += len(a.waiting)
	}
	return fmt.Errorf("%d requests were sent %d times and not answered", len(a.waiting), attempts)
}

// send sends the requests that wait for an answer.
func (a *asker) send() error {
	n := 0
	for _, frame := range a.waiting {
		a.frames[n] = frame
		n++
	}
	_, err := a.conn.Write(a.frames[:n])
	return err
}

// read reads until no request waits, or until patience ends. The burst was sent at start.
func (a *asker) read(start time.Time) error {
	if err := a.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	for len(a.waiting) > 0 {
		n, err := a.conn.Read(a.frames)
		if err != nil {
			return err
		}
		for i, frame := range a.frames[:n] {
			if a.take(frame.Data) {
				a.times = append(a.times, a.conn.Arrived(i).Sub(start))
			}
		}
	}
	return nil
}

// take reports whether a frame answers a request that waits. That one waits no more.
func (a *asker) take(frame []byte) bool {
	const operation, sender, end = 20, 28, 42 // RFC 826, after 14 bytes of Ethernet header
	if len(frame) < end || !bytes.Equal(frame[operation:operation+2], []byte{0, byte(arp.OperationReply)}) {
		return false
	}
	target := ipv4(frame[sender:])
	_, waits := a.waiting[target]
	delete(a.waiting, target)
	return waits
}
