package replay

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// FuzzReplay replays any bytes as a capture. It expects every frame to be counted, messages to be printable, the learned
// configuration to load, and the memory to be proportional to the capture's size.
func FuzzReplay(f *testing.F) {
	plain := pcap(f, layers.LinkTypeEthernet, mixed())
	f.Add(plain)
	f.Add(plain[:len(plain)-7])
	f.Add(swapped(plain))
	f.Add(pcap(f, layers.LinkTypeLinuxSLL2, seed()))
	f.Add(pcapng(f, mixed(), layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL))
	patched := pcapFile{order: binary.LittleEndian, magic: pcapPatched, minor: 4, extra: patchedExtra}
	f.Add(patched.write(seed()))
	old := pcapFile{order: binary.BigEndian, magic: pcapMicroseconds, minor: 2, swapped: true}
	f.Add(old.write(mixed()))
	f.Add(pcap(f, layers.LinkTypeLinuxSLL, each(cooked(layers.LinkTypeLinuxSLL, cookedBroadcast, hardwareEthernet, seed()[0].frame))))
	f.Add(bytes.Join([][]byte{ngSection, ngEthernet, block(simplePacket, words(42), make([]byte, 44))}, nil))
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
			t.Fatalf("an error that cannot be printed: %q", err)
		}
	})
}

func checkSummary(t *testing.T, s *Summary, lines string) {
	evaluated := 0
	for _, v := range s.Verdicts {
		evaluated += v.Frames
	}
	if n := s.Frames; n.ARP != evaluated+n.Answers || n.Read != n.ARP+n.Cut+n.NotARP+n.NotEthernet {
		t.Fatalf("%+v do not add up, with %d evaluated", n, evaluated)
	}
	a := s.Answers
	if a.Same+a.Other+a.CapturedOnly > s.Frames.Answers || a.OursOnly+a.Neither+a.NotCompared > evaluated {
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

// allocated returns the number of bytes that were allocated since the program started.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
