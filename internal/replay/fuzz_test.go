package replay

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// FuzzReplay takes any bytes for a capture. Whatever they are, every frame is accounted for, what is said can be shown,
// what is learned loads, and the memory that is taken is in proportion to the capture.
func FuzzReplay(f *testing.F) {
	plain := pcap(f, layers.LinkTypeEthernet, mixed())
	f.Add(plain)
	f.Add(plain[:len(plain)-7])
	f.Add(swapped(plain))
	f.Add(pcap(f, layers.LinkTypeLinuxSLL2, seed()))
	f.Add(pcapng(f, mixed(), layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL))
	commented := ngFrame(44, 44, make([]byte, 44), option(1, []byte("hello")))
	f.Add(bytes.Join([][]byte{ngSection, ngEthernet, commented}, nil))
	f.Add(bytes.Join([][]byte{ngSection, ngEthernet, block(oldPacket, words(0, 0, 0, 0xffff_fff0, 0xffff_fff0))}, nil))
	network := load(f, labConfig)
	path := filepath.Join(f.TempDir(), "learned.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.HasPrefix(data, magicGzip) {
			t.Skip("what is in it may be much larger")
		}
		before := allocated()
		var lines strings.Builder
		s, err := Run(context.Background(), bytes.NewReader(data), network, &lines)
		l, learnErr := Learn(context.Background(), bytes.NewReader(data))
		if n, most := allocated()-before, uint64(8<<20+500*len(data)); n > most {
			t.Fatalf("%d bytes allocated for a capture of %d", n, len(data))
		}
		if learnErr == nil {
			loadLearned(t, path, l)
		}
		if err == nil {
			checkSummary(t, s, lines.String())
		} else if strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Fatalf("an error that can't be shown: %q", err)
		}
	})
}

func checkSummary(t *testing.T, s *Summary, lines string) {
	judged := 0
	for _, v := range s.Verdicts {
		judged += v.Frames
	}
	if n := s.Frames; n.ARP != judged+n.Answers || n.Read != n.ARP+n.Cut+n.NotARP+n.NotEthernet {
		t.Fatalf("%+v do not add up, with %d judged", n, judged)
	}
	a := s.Answers
	if a.Same+a.Other+a.SilentHere > s.Frames.Answers || a.SilentThere+a.SilentInBoth+a.NotWaitedFor > judged {
		t.Fatalf("%+v do not add up with %+v", a, s.Frames)
	}
	if n := strings.Count(lines, "\n"); n != s.Frames.ARP+s.Frames.Cut {
		t.Fatalf("%d lines for %+v", n, s.Frames)
	}
	if err := s.WriteText(io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteJSON(io.Discard); err != nil {
		t.Fatal(err)
	}
}

// allocated returns how many bytes have been allocated since the program began.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
