package loadgen

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/mdlayher/arp"
)

const (
	// answerTimeout is how long an answer may take. Then the request counts as lost, and is sent again.
	answerTimeout = 100 * time.Millisecond

	// maxAttempts is how often a request is sent before a missing answer is an error.
	maxAttempts = 20
)

// A requester sends requests from an interface and reads the answers there.
type requester struct {
	out      *wire.Packet // requests leave by it
	answers  *reader
	requests []request
	next     int                 // into requests
	pending  map[ipv4]wire.Frame // requests without an answer
	frames   []wire.Frame        // a batch to send
	times    []time.Duration     // latency of each answer, from the start of its burst
	lost     int
}

// ipv4 is an address as in a frame.
type ipv4 [4]byte

type request struct {
	target ipv4
	frame  wire.Frame
}

func newRequester(j Job) (*requester, error) {
	eth, err := net.InterfaceByName(j.Interface)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", j.Interface, err)
	}
	r := &requester{pending: map[ipv4]wire.Frame{}, frames: make([]wire.Frame, wire.MaxBatch)}
	for _, target := range j.Targets {
		data := lab.Request(eth.HardwareAddr, j.Sender, target).Frame()
		r.requests = append(r.requests, request{target.As4(), wire.Frame{Port: eth.Index, Data: data}})
	}
	if r.out, err = wire.OpenPacket(0, 0); err != nil {
		return nil, err
	}
	r.answers, err = openReader(eth.Index)
	return r, err
}

// run sends the requests in bursts. It starts a burst when all requests of the burst before it are answered.
func (r *requester) run(j Job) (Result, error) {
	r.times = make([]time.Duration, 0, j.Requests)
	start := time.Now()
	for left := j.Requests; left > 0; left -= j.Burst {
		time.Sleep(j.Pause)
		if err := r.runBurst(min(left, j.Burst)); err != nil {
			return Result{}, err
		}
	}
	took := time.Since(start)
	slices.Sort(r.times)
	return Result{Took: took, P99: r.times[(j.Requests-1)*99/100], Lost: r.lost}, nil
}

// flood sends rate requests per second, in turn, and reads no answers.
func (r *requester) flood(rate int) error {
	start := time.Now()
	for sent := 0; ; time.Sleep(50 * time.Microsecond) {
		for due := int(time.Since(start).Seconds() * float64(rate)); sent < due; sent += len(r.frames) {
			for i := range r.frames {
				r.frames[i] = r.requests[r.next].frame
				r.next = (r.next + 1) % len(r.requests)
			}
			if _, err := r.out.Write(r.frames); err != nil {
				return err
			}
		}
	}
}

func (r *requester) runBurst(size int) error {
	for range size {
		request := r.requests[r.next]
		r.pending[request.target] = request.frame
		r.next = (r.next + 1) % len(r.requests)
	}
	start := time.Now()
	for range maxAttempts {
		if err := r.send(); err != nil {
			return err
		}
		err := r.read(start)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		r.lost += len(r.pending)
	}
	return fmt.Errorf("%d requests were sent %d times and not answered", len(r.pending), maxAttempts)
}

// send sends the pending requests.
func (r *requester) send() error {
	n := 0
	for _, frame := range r.pending {
		r.frames[n] = frame
		n++
	}
	_, err := r.out.Write(r.frames[:n])
	return err
}

// read reads until no request is pending, or until answerTimeout. The burst was sent at start.
func (r *requester) read(start time.Time) error {
	if err := r.answers.socket.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	for len(r.pending) > 0 {
		n, err := r.answers.read()
		if err != nil {
			return err
		}
		for i := range n {
			if r.matchAnswer(r.answers.frame(i)) {
				r.times = append(r.times, r.answers.arrived(i).Sub(start))
			}
		}
	}
	return nil
}

// matchAnswer reports whether a frame answers a pending request, which it then removes.
func (r *requester) matchAnswer(frame []byte) bool {
	const operation, sender, end = 20, 28, 42 // RFC 826, after 14 bytes of Ethernet header
	if len(frame) < end || !bytes.Equal(frame[operation:operation+2], []byte{0, byte(arp.OperationReply)}) {
		return false
	}
	target := ipv4(frame[sender:])
	_, ok := r.pending[target]
	delete(r.pending, target)
	return ok
}
