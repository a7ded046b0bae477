package replay

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"
)

// replayed replays a capture, and returns the number of evaluated frames, and the error or the warnings.
func replayed(n *config.Network, capture []byte) (frames int, said string) {
	s, err := Run(context.Background(), bytes.NewReader(capture), n, nil)
	if err != nil {
		return 0, "error: " + err.Error()
	}
	return s.Frames.ARP, strings.Join(s.Warnings, "\n")
}

func TestLinkTypes(t *testing.T) {
	network := load(t, labConfig)
	const cooked = ": all of them are of interfaces without Ethernet headers"
	const sll, sll2, ppp = layers.LinkTypeLinuxSLL, layers.LinkTypeLinuxSLL2, layers.LinkTypePPP
	tests := []struct {
		name    string
		capture []byte
		frames  int
		said    string
	}{
		{"SLL", pcap(t, sll, seed()), 0, "error: its frames are of link type LINUX_SLL (Linux cooked)" + cooked},
		{"SLL2", pcap(t, sll2, seed()), 0, "error: its frames are of link type LINUX_SLL2 (Linux cooked)" + cooked},
		{"SLL2 in pcapng", pcapng(t, seed(), sll2), 0,
			"error: its frames are of link type LINUX_SLL2 (Linux cooked)" + cooked},
		{"PPP", pcap(t, ppp, nil), 0, "error: its frames are of link type PPP (9): only Ethernet frames can be evaluated"},
		{"unknown", pcap(t, 299, nil), 0, "error: its frames are of link type 299: only Ethernet frames can be evaluated"},
		{"wireless", pcap(t, layers.LinkTypeIEEE80211Radio, nil), 0,
			"error: its frames are of link type IEEE802_11_RADIOTAP (127): only Ethernet frames can be evaluated"},
		{"some in pcapng", pcapng(t, seed(), layers.LinkTypeEthernet, sll2, layers.LinkTypeEthernet, ppp, sll2), 4,
			"5 frames are not Ethernet and were not evaluated, most of them of link type LINUX_SLL2 (Linux cooked)"},
		{"with a checksum", withFCS(pcap(t, layers.LinkTypeEthernet, seed())), 9, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frames, said := replayed(network, tt.capture)
			if frames != tt.frames || said != tt.said {
				t.Errorf("%d frames, %q\nwant %d, %q", frames, said, tt.frames, tt.said)
			}
		})
	}
}

// withFCS makes the header of a pcap file say that frames have their checksums: the upper 6 bits of the link type.
func withFCS(capture []byte) []byte {
	capture[23] |= 0x14
	return capture
}

// TestCutOff truncates captures at every byte. It expects the frames before the cut to be evaluated, and a warning unless
// the cut is at a frame's end.
func TestCutOff(t *testing.T) {
	network := load(t, labConfig)
	for name, whole := range map[string][]byte{
		"pcap":   pcap(t, layers.LinkTypeEthernet, seed()),
		"pcapng": pcapng(t, seed(), layers.LinkTypeEthernet),
	} {
		t.Run(name, func(t *testing.T) {
			ends := map[int]bool{} // whether a capture with that number of frames had no warning
			for n := 1; n <= len(whole); n++ {
				frames, said := replayed(network, whole[:n])
				switch {
				case said == "":
					ends[frames] = true
				case strings.HasPrefix(said, "error: ") && frames == 0 && len(ends) == 0:
				case said == "error: the capture is cut off before its first frame" && frames == 0:
				case said != fmt.Sprintf("the capture is cut off after frame %d", frames):
					t.Fatalf("cut at byte %d: %d frames, %q", n, frames, said)
				}
			}
			if len(ends) != len(seed())+1 {
				t.Errorf("no cut after %v frames; want 0 to %d", ends, len(seed()))
			}
		})
	}
}

// A block of a pcapng file, little endian.
func block(kind uint32, body ...[]byte) []byte {
	joined := bytes.Join(body, nil)
	length := uint32(blockStart + len(joined) + blockEnd)
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = binary.LittleEndian.AppendUint32(b, length)
	return binary.LittleEndian.AppendUint32(append(b, joined...), length)
}

// words are 32-bit numbers, little endian.
func words(numbers ...uint32) []byte {
	var b []byte
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

// option returns an option of a block, with padding.
func option(code uint16, value []byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return append(append(b, value...), make([]byte, -len(value)&3)...)
}

var (
	ngSection  = block(sectionHeader, words(0x1a2b3c4d, 1, 0xffff_ffff, 0xffff_ffff))
	ngEthernet = block(interfaceBlock, words(1, maxFrame))
)

// ngFrame returns the block of a frame of interface 0, with its captured and sent lengths in bytes.
func ngFrame(captured, sent uint32, data []byte, options ...[]byte) []byte {
	return block(enhancedPacket, words(0, 0, 0, captured, sent), data, bytes.Join(options, nil))
}

// TestHostile reads invalid pcapng files that pcapgo would trust.
func TestHostile(t *testing.T) {
	network := load(t, labConfig)
	arp := append(seed()[0].frame, 0, 0) // 44 bytes
	good := ngFrame(44, 44, arp)
	const names, secrets = 4, 10
	const unread = "cannot read the capture after frame 1: "
	const contradict = unread + "a block's lengths contradict each other"
	tests := []struct {
		name string
		rest []byte // after a section, an interface and a good frame
		said string
	}{
		{"options", ngFrame(44, 44, arp, option(1, []byte("hello")), option(2, words(1)), option(0, nil)), ""},
		{"an option beyond the block", ngFrame(44, 44, arp, option(1, nil)[:2], []byte{0xff, 0xff}),
			contradict},
		{"a frame beyond the block", ngFrame(48, 48, arp), contradict},
		{"a frame of 4 GB", ngFrame(0xffff_fff0, 0xffff_ffff, arp), contradict},
		{"a frame longer than sent", ngFrame(44, 12, arp), ""},
		{"no room for a frame", block(enhancedPacket, words(0)), contradict},
		{"two lengths", append(bytes.Clone(good[:len(good)-4]), 12, 0, 0, 0), contradict},
		{"no length", words(enhancedPacket, 0, 0), unread + "a block is 0 bytes long"},
		{"an odd length", words(enhancedPacket, 33, 0), unread + "a block is 33 bytes long"},
		{"a huge length", words(enhancedPacket, 0xffff_fff0, 0),
			unread + "a block is 4294967280 bytes long, which is more than the 524288 that are read"},
		{"a huge length of what is skipped", words(secrets, 0xffff_fff0, 0), "the capture is cut off after frame 1"},
		{"no such interface", block(enhancedPacket, words(7, 0, 0, 0, 0)),
			unread + "Interface id 7 not present in section (have only 1 interfaces)"},
		{"a simple packet", block(simplePacket, words(44), arp),
			unread + "its frames are in simple packet blocks, which have no time: only --learn reads them"},
		{"names and secrets", append(block(names, words(0)), block(secrets, words(0, 0))...), ""},
		{"names with wrong lengths", block(names, words(0xffff_0001, 0)), ""},
		{"another section", append(bytes.Clone(ngSection), ngEthernet...), ""},
		{"a section of no byte order", block(sectionHeader, words(0, 1, 0, 0)), unread + "a section has no byte order"},
		{"another version", block(sectionHeader, words(0x1a2b3c4d, 2, 0, 0)),
			unread + "Unknown pcapng Version in Section Header"},
		{"interfaces", bytes.Repeat(ngEthernet, maxInterfaces-1), ""},
		{"too many interfaces", bytes.Repeat(ngEthernet, maxInterfaces), unread + "it has more than 4096 interfaces"},
		{"a large interface", block(interfaceBlock, words(1, 0), make([]byte, maxInterfaceBlock)),
			unread + "a block is 8212 bytes long, which is more than the 8192 that are read"},
		{"no clock", block(interfaceBlock, words(1, 0), option(9, []byte{0xff})),
			unread + "Timestamp resolution 2^-127 is too high"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frames, said := replayed(network, bytes.Join([][]byte{ngSection, ngEthernet, good, tt.rest}, nil))
			if frames == 0 || said != tt.said {
				t.Errorf("%d frames, %q\nwant %q", frames, said, tt.said)
			}
		})
	}
}

func TestNoCapture(t *testing.T) {
	network := load(t, labConfig)
	huge := bytes.Clone(pcap(t, layers.LinkTypeEthernet, nil))
	binary.LittleEndian.PutUint32(huge[16:], 0xffff_ffff)
	tests := []struct {
		name    string
		capture []byte
		said    string
	}{
		{"nothing", nil, "error: the file is empty"},
		{"text", []byte("networks:\n  lab: {attach: {bridge: br0}}\n"),
			"error: not a capture in the pcap or pcapng format (Unknown magic 7774656e)"},
		{"short", []byte{0xd4}, "error: not a capture in the pcap or pcapng format (EOF)"},
		{"xz", []byte("\xfd7zXZ\x00\x00"), "error: the file is compressed by xz: xzcat FILE | arpfabric replay ... -"},
		{"zstd", []byte("\x28\xb5\x2f\xfd\x24"), "error: the file is compressed by zstd: zstdcat FILE | arpfabric replay ... -"},
		{"compressed twice", compressed(t, compressed(t, huge)), "error: the file is compressed twice"},
		{"a frame of 4 GB", append(huge, words(0, 0, 0xffff_0000, 0xffff_0000)...),
			"error: cannot read the capture up to its first frame: capture length exceeds snap length: 4294901760 > 262144"},
		{"a section alone", ngSection, ""},
		{"a section and damage", append(bytes.Clone(ngSection), words(interfaceBlock, 33, 0)...),
			"error: cannot read the capture up to its first frame: a block is 33 bytes long"},
		{"an interface and no whole frame", slices.Concat(ngSection, ngEthernet, words(enhancedPacket, 64, 0)),
			"error: the capture is cut off before its first frame"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, said := replayed(network, tt.capture); said != tt.said {
				t.Errorf("%q\nwant %q", said, tt.said)
			}
		})
	}
}

// endless reads the beginning of a capture, and then repeats one piece of it.
type endless struct {
	begin, again []byte
	times        int
	rest         []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if e.begin != nil {
		e.rest, e.begin = e.begin, nil
	} else if len(e.rest) == 0 {
		if e.times--; e.times < 0 {
			return 0, io.EOF
		}
		e.rest = e.again
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// TestMemory reads 64 MB of blocks that pcapgo would keep, and expects no growth.
func TestMemory(t *testing.T) {
	const most = 32 << 20
	one := ngFrame(44, 44, append(seed()[0].frame, 0, 0))
	name := append(words(1|5<<16, 0x0100000a), bytes.Repeat([]byte{0}, 4)...)
	named := block(interfaceBlock, words(1, 0), option(2, make([]byte, 7<<10)))
	section := append(bytes.Clone(ngSection), bytes.Repeat(named, 1000)...)
	for kind, again := range map[string][]byte{
		"comments": ngFrame(44, 44, append(seed()[0].frame, 0, 0), option(1, make([]byte, 60000))),
		"names":    append(block(4, bytes.Repeat(name, 5000)), one...),
		"secrets":  append(block(10, words(0, 60000), make([]byte, 60000)), one...),
		"sections": section,
	} {
		t.Run(kind, func(t *testing.T) {
			in := &endless{begin: append(bytes.Clone(ngSection), ngEthernet...), again: again, times: 64 << 20 / len(again)}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			c, err := openCapture(in)
			labtest.Must(t, err)
			if said, err := c.each(t.Context(), func(frame) {}); err != nil || len(said) > 0 {
				t.Fatal(said, err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			runtime.KeepAlive(c)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > most {
				t.Errorf("%d bytes are kept; want at most %d", grown, most)
			}
		})
	}
}

// TestPending expects at most maxPending requests to be kept.
func TestPending(t *testing.T) {
	c := newComparison()
	for i := range 3 * maxPending {
		p, ok := packetOf(request(appMAC, "10.239.0.101", fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&0xff, i&0xff)))
		if !ok {
			t.Fatal("no packet")
		}
		c.ask(&p, start, 0, [6]byte{})
	}
	if diff := cmp.Diff([]int{maxPending, maxPending}, []int{len(c.pending), c.order.Len()}); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}
