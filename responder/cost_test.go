package responder_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder"
)

func TestDecideAllocatesNothing(t *testing.T) {
	r := fabric(t, responder.Policy{})
	out := make([]byte, responder.MaxReplyLen)
	tests := []struct {
		name   string
		in     responder.Ingress
		frame  arpFrame
		action responder.Action
	}{
		{"reply", responder.Ingress{Port: "vnet0"}, ask, reply},
		{"reply from a range", responder.Ingress{Port: "vnet0"}, request(guestMAC, guestIP, ip("10.239.0.130")), reply},
		{"reply on a trunk", responder.Ingress{Port: "vnet0", Trunk: true}, ask.tagged(0x8100_0005), reply},
		{
			"sender tied to its port", responder.Ingress{Port: "vnet3"},
			request(mac("02:00:08:de:54:a8"), ip("10.239.0.103"), otherIP), reply,
		},
		{"drop", responder.Ingress{Port: "vnet0"}, request(guestMAC, guestIP, strangerIP), drop},
		{"drop of a malformed frame", responder.Ingress{}, ask.with(func(f *arpFrame) { f.hlen = 7 }), drop},
		{"pass", responder.Ingress{}, ask.with(func(f *arpFrame) { f.etherType = 0x0800 }), pass},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frame := tt.frame.bytes()
			var v responder.Verdict
			allocs := testing.AllocsPerRun(100, func() { v = r.Decide(tt.in, frame, out) })
			if v.Action != tt.action {
				t.Fatalf("verdict is %s, %s; want %s", v.Action, v.Reason, tt.action)
			}
			if allocs != 0 {
				t.Errorf("%v allocations", allocs)
			}
		})
	}
}

// BenchmarkDecide decides about requests from at most 500 guests, about as many as a host has, for addresses in random
// order. hit asks for any bound address, hit-again for the same 4096 again and again, miss for unbound addresses, and
// range for any address while all bindings are ranges of 16. With a million bindings, hit and range measure the memory as
// much as the code, because almost every request needs an owner that is in none of the processor's caches. hit-again
// measures the code alone.
func BenchmarkDecide(b *testing.B) {
	const rangeWidth = 16
	for _, n := range []uint32{10, 10_000, 1_000_000} {
		addresses := responder.New(registrytest.Many(b, n, 1), responder.Policy{})
		ranges := responder.New(registrytest.Many(b, n, rangeWidth), responder.Policy{})
		few := min(n, 4096)
		anyAddress := func(random uint32) uint32 { return registrytest.FirstIP + scale(random, n) }
		fewAddresses := func(random uint32) uint32 { return registrytest.FirstIP + scale(random, few)*(n/few) }
		notBound := func(random uint32) uint32 { return registrytest.FirstIP + n + scale(random, n) }
		inRanges := func(random uint32) uint32 { return registrytest.FirstIP + scale(random, n*rangeWidth) }

		name := func(what string) string { return fmt.Sprintf("bindings=%d/%s", n, what) }
		b.Run(name("hit"), func(b *testing.B) {
			benchmarkDecide(b, addresses, newTraffic(n, 1, anyAddress), responder.Answered)
		})
		b.Run(name("hit-again"), func(b *testing.B) {
			benchmarkDecide(b, addresses, newTraffic(n, 1, fewAddresses), responder.Answered)
		})
		b.Run(name("miss"), func(b *testing.B) {
			benchmarkDecide(b, addresses, newTraffic(n, 1, notBound), responder.UnknownTarget)
		})
		b.Run(name("range"), func(b *testing.B) {
			benchmarkDecide(b, ranges, newTraffic(n, rangeWidth, inRanges), responder.Answered)
		})
	}
}

func benchmarkDecide(b *testing.B, r *responder.Responder, requests *traffic, want responder.Reason) {
	in, out := responder.Ingress{Port: "vnet0"}, make([]byte, responder.MaxReplyLen)
	b.ReportAllocs()
	for b.Loop() {
		if v := r.Decide(in, requests.next(), out); v.Reason != want {
			b.Fatalf("verdict is %s, %s; want %s", v.Action, v.Reason, want)
		}
	}
	b.ReportMetric(percentile99(func() time.Duration {
		frame := requests.next()
		start := time.Now()
		r.Decide(in, frame, out)
		return time.Since(start)
	}), "p99-ns")
}

// percentile99 returns the 99th percentile of 20 thousand samples, in ns, less the time to read the clock. The samples
// are taken outside the loop that gives ns/op, because reading the clock twice takes longer than a decision.
func percentile99(sample func() time.Duration) float64 {
	const samples = 20_000
	var took, clock [samples]time.Duration
	for i := range samples {
		took[i] = sample()
		start := time.Now()
		clock[i] = time.Since(start)
	}
	slices.Sort(took[:])
	slices.Sort(clock[:])
	return float64(took[samples*99/100] - clock[samples/2])
}

// traffic is an endless sequence of requests. It writes 64 frames at a time, as a read from a socket does, which takes
// about 5 ns of each op.
type traffic struct {
	guests, width uint32
	target        func(random uint32) uint32
	random        *rand.PCG
	frames        [64][42]byte
	at            int // index of the next frame
}

// newTraffic makes requests for targets, from the owners of the first 500 of n bindings.
func newTraffic(n, width uint32, target func(random uint32) uint32) *traffic {
	t := &traffic{guests: min(n, 500), width: width, target: target, random: rand.NewPCG(7, 8)}
	for i := range t.frames {
		copy(t.frames[i][:], request(registrytest.MACOf(0), registrytest.Addr(registrytest.FirstIP), registrytest.Addr(registrytest.FirstIP)).bytes())
	}
	return t
}

func (t *traffic) next() []byte {
	if t.at == 0 {
		t.read()
	}
	frame := t.frames[t.at][:]
	t.at = (t.at + 1) % len(t.frames)
	return frame
}

// read writes new requests into the frames. The sender's number is the last four bytes of its MAC.
func (t *traffic) read() {
	for i := range t.frames {
		random := t.random.Uint64()
		sender := scale(uint32(random>>32), t.guests)
		senderIP, targetIP := registrytest.FirstIP+sender*t.width, t.target(uint32(random))
		if targetIP == senderIP {
			targetIP ^= 1
		}
		frame := &t.frames[i]
		binary.BigEndian.PutUint32(frame[8:], sender)
		binary.BigEndian.PutUint32(frame[24:], sender)
		binary.BigEndian.PutUint32(frame[28:], senderIP)
		binary.BigEndian.PutUint32(frame[38:], targetIP)
	}
}

// scale maps a random number to one below n.
func scale(random, n uint32) uint32 { return uint32(uint64(random) * uint64(n) >> 32) }
