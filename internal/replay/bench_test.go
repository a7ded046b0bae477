package replay

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

const benchFrames = 1_000_000

// BenchmarkRun replays a million ARP frames of 200 guests, half of them requests and half answers.
func BenchmarkRun(b *testing.B) {
	network := load(b, guestsConfig())
	benchmark(b, func(in io.Reader) error {
		s, err := Run(context.Background(), in, network, nil)
		if err == nil && s.Answers != (Answers{Same: benchFrames / 2}) {
			err = fmt.Errorf("%+v, %v", s.Answers, s.Warnings)
		}
		return err
	})
}

// BenchmarkLearn learns from the same frames.
func BenchmarkLearn(b *testing.B) {
	benchmark(b, func(in io.Reader) error {
		l, err := Learn(context.Background(), in)
		if err == nil && (len(l.addresses) != benchGuests || l.shown != benchFrames) {
			err = fmt.Errorf("%d addresses of %d frames", len(l.addresses), l.shown)
		}
		return err
	})
}

// benchmark reports frames a second, and the memory that the program has taken from the kernel at the end, about 5 MB of
// which belong to the testing framework.
func benchmark(b *testing.B, do func(io.Reader) error) {
	header, chunk := benchCapture(b)
	b.ResetTimer()
	for b.Loop() {
		if err := do(&loop{header: header, chunk: chunk, chunks: benchFrames / (2 * benchGuests)}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*benchFrames/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(float64(mapped())/(1<<20), "MB")
}

const benchGuests = 200

func benchGuest(n int) (mac, addr string) {
	return fmt.Sprintf("02:00:00:00:00:%02x", n), fmt.Sprintf("10.0.0.%d", n+1)
}

func guestsConfig() string {
	var text strings.Builder
	text.WriteString("networks:\n  lab:\n    attach: {bridge: br0}\n    registry:\n")
	for n := range benchGuests {
		mac, addr := benchGuest(n)
		fmt.Fprintf(&text, "      %s: %q\n", addr, mac)
	}
	return text.String()
}

// benchCapture makes a capture in which each guest resolves the next one.
func benchCapture(b *testing.B) (header, frames []byte) {
	var asked [][]byte
	for n := range benchGuests {
		mac, addr := benchGuest(n)
		ownerMAC, owner := benchGuest((n + 1) % benchGuests)
		asked = append(asked, request(mac, addr, owner), reply(ownerMAC, owner, mac, addr))
	}
	const headerLen = 24
	capture := pcap(b, layers.LinkTypeEthernet, each(asked...))
	return capture[:headerLen], capture[headerLen:]
}

// A loop reads a capture's frames again and again, each time a second later.
type loop struct {
	header, chunk []byte
	chunks        int
	rest          []byte
}

func (r *loop) Read(p []byte) (int, error) {
	switch {
	case r.header != nil:
		r.rest, r.header = r.header, nil
	case len(r.rest) > 0:
	case r.chunks == 0:
		return 0, io.EOF
	default:
		r.chunks--
		r.later()
		r.rest = r.chunk
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// later adds a second to the times of all frames.
func (r *loop) later() {
	const recordLen, capturedAt = 16, 8
	for at := 0; at < len(r.chunk); {
		seconds := binary.LittleEndian.Uint32(r.chunk[at:])
		binary.LittleEndian.PutUint32(r.chunk[at:], seconds+1)
		at += recordLen + int(binary.LittleEndian.Uint32(r.chunk[at+capturedAt:]))
	}
}

// mapped returns the number of bytes that the program has taken from the kernel.
func mapped() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
