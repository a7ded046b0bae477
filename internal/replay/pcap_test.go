package replay

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// A pcapFile is how a test writes a pcap file that pcapgo doesn't.
type pcapFile struct {
	order   binary.AppendByteOrder
	magic   uint32
	minor   uint16 // of the version
	swapped bool   // the length comes before the captured length
	over    int    // how much the captured length is greater than the length
	extra   int    // bytes more in a record
}

func (f pcapFile) write(frames []taken) []byte {
	b := f.order.AppendUint32(nil, f.magic)
	b = f.order.AppendUint16(f.order.AppendUint16(b, 2), f.minor)
	for _, word := range []uint32{0, 0, maxFrame, uint32(layers.LinkTypeEthernet)} {
		b = f.order.AppendUint32(b, word)
	}
	for _, frame := range frames {
		info := frame.info()
		lengths := []int{info.CaptureLength, info.Length - f.over}
		if f.swapped {
			lengths = []int{info.Length - f.over, info.CaptureLength}
		}
		b = f.order.AppendUint32(b, uint32(info.Timestamp.Unix()))
		b = f.order.AppendUint32(b, uint32(info.Timestamp.Nanosecond()/1000))
		b = f.order.AppendUint32(f.order.AppendUint32(b, uint32(lengths[0])), uint32(lengths[1]))
		b = append(b, make([]byte, f.extra)...)
		b = append(b, frame.frame[:info.CaptureLength]...)
	}
	return b
}

// TestPcapVersions reads the seed capture, with a truncated frame, in every version that there was of the format.
func TestPcapVersions(t *testing.T) {
	frames := append(seed(), taken{frame: request(appMAC, "10.239.0.101", "10.239.0.1"), lost: 10})
	want, wantLines := run(t, pcap(t, layers.LinkTypeEthernet, frames))
	little, big := binary.AppendByteOrder(binary.LittleEndian), binary.AppendByteOrder(binary.BigEndian)
	for name, f := range map[string]pcapFile{
		"2.4":                      {order: little, magic: pcapMicroseconds, minor: 4},
		"2.3":                      {order: little, magic: pcapMicroseconds, minor: 3},
		"2.3 with swapped lengths": {order: little, magic: pcapMicroseconds, minor: 3, swapped: true},
		"2.2":                      {order: big, magic: pcapMicroseconds, minor: 2, swapped: true},
		"2.1":                      {order: little, magic: pcapMicroseconds, minor: 1, swapped: true},
		"2.0":                      {order: big, magic: pcapMicroseconds, minor: 0, swapped: true},
		"patched":                  {order: little, magic: pcapPatched, minor: 4, extra: patchedExtra},
		"patched, big endian":      {order: big, magic: pcapPatched, minor: 4, extra: patchedExtra},
	} {
		t.Run(name, func(t *testing.T) {
			got, lines := run(t, f.write(frames))
			if asJSON(t, got) != asJSON(t, want) || lines != wantLines {
				t.Errorf("got\n%s%s\nwant\n%s%s", asJSON(t, got), lines, asJSON(t, want), wantLines)
			}
		})
	}
	t.Run("longer than sent", func(t *testing.T) {
		f := pcapFile{order: little, magic: pcapMicroseconds, minor: 4, over: 14}
		want, wantLines := run(t, pcap(t, layers.LinkTypeEthernet, seed()))
		if got, lines := run(t, f.write(seed())); asJSON(t, got) != asJSON(t, want) || lines != wantLines {
			t.Errorf("got\n%s%s", asJSON(t, got), lines)
		}
	})
}

// TestNoFrame counts frames without an EtherType as no ARP, unless the capture truncated them.
func TestNoFrame(t *testing.T) {
	arp := request(appMAC, "10.239.0.101", "10.239.0.1")
	s, _ := run(t, pcap(t, layers.LinkTypeEthernet, []taken{
		{frame: nil}, {frame: arp[:13]}, {frame: arp, lost: len(arp)}, {frame: arp[:20]}, {frame: arp},
	}))
	got := [...]int{s.Frames.Read, s.Frames.NotARP, s.Frames.Cut, s.Frames.ARP}
	if want := [...]int{5, 2, 1, 2}; got != want {
		t.Errorf("read, not ARP, cut, ARP: %v, want %v", got, want)
	}
}

// cooked replaces the Ethernet header of a frame by that of a capture of the interface "any".
func cooked(t layers.LinkType, packetType, hardware uint16, frame []byte) []byte {
	address := append(bytes.Clone(frame[6:12]), 0, 0)
	b := binary.BigEndian
	if t == layers.LinkTypeLinuxSLL {
		header := b.AppendUint16(b.AppendUint16(b.AppendUint16(nil, packetType), hardware), 6)
		return append(append(header, address...), frame[12:]...)
	}
	header := append(bytes.Clone(frame[12:14]), 0, 0, 0, 0, 0, 7)
	header = append(b.AppendUint16(header, hardware), byte(packetType), 6)
	return append(append(header, address...), frame[14:]...)
}

// TestCooked evaluates the frames of Linux cooked captures as those with Ethernet headers, and says what such a capture
// lacks.
func TestCooked(t *testing.T) {
	const broadcast, outgoing, ppp = 1, 4, 512
	for _, link := range []layers.LinkType{layers.LinkTypeLinuxSLL, layers.LinkTypeLinuxSLL2} {
		var frames []taken
		for _, f := range seed() {
			f.frame = cooked(link, broadcast, hardwareEthernet, f.frame)
			frames = append(frames, f)
		}
		want, wantLines := run(t, pcap(t, layers.LinkTypeEthernet, seed()))
		for name, capture := range map[string][]byte{
			"pcap": pcap(t, link, frames), "pcapng": pcapng(t, frames, link),
		} {
			got, lines := run(t, capture)
			if len(got.Warnings) != 1 || got.Warnings[0] != "9 frames are of the interface \"any\" (Linux cooked): such a capture "+
				"has a frame once for each interface that it crossed, and each is counted; to count it once, capture on the bridge" {
				t.Errorf("%s %s: warnings %q", linkTypeName(link), name, got.Warnings)
			}
			got.Warnings = want.Warnings
			if asJSON(t, got) != asJSON(t, want) || lines != wantLines {
				t.Errorf("%s %s: got\n%s%s\nwant\n%s%s", linkTypeName(link), name, asJSON(t, got), lines, asJSON(t, want), wantLines)
			}
		}
		other := []taken{
			{frame: cooked(link, outgoing, ppp, seed()[0].frame)},
			{frame: cooked(link, outgoing, hardwareEthernet, seed()[0].frame)},
			{frame: []byte{0, 1}},
		}
		if s, _ := run(t, pcap(t, link, other)); s.Frames.NotEthernet != 2 || s.Frames.ARP != 1 {
			t.Errorf("%s: %+v", linkTypeName(link), s.Frames)
		}
	}
}
