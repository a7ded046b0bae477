package replay

import (
	"bufio"
	"encoding/binary"
	"io"
)

// The layout of a pcap file, in bytes: a header of magic 4, version 2 and 2, zone 4, accuracy 4, snap length 4 and link type
// 4; then for each frame seconds 4, fractions 4, captured length 4, length 4, and the data.
const (
	pcapHeader   = 24
	pcapRecord   = 16
	patchedExtra = 8 // bytes more in a record of a patched libpcap: interface, protocol, packet type
)

// The magic numbers of pcap files.
const (
	pcapMicroseconds = 0xa1b2c3d4
	pcapNanoseconds  = 0xa1b23c4d
	pcapPatched      = 0xa1b2cd34 // Alexey Kuznetsov's patches to libpcap, of about 1999
)

// A pcapFilter reads a pcap file of any version and writes it as version 2.4 for pcapgo, which reads only that.
//
// Before version 2.3 the two lengths of a record were the other way round, and some programs wrote 2.3 so (libpcap,
// sf-pcap.c). A captured length that is greater than the length of the frame is a mistake that some programs make; the
// data counts.
type pcapFilter struct {
	in       *bufio.Reader
	order    binary.ByteOrder // nil if this is no pcap file: pcapgo reports that
	minor    uint16           // of the version
	extra    int              // bytes more in a record
	begun    bool
	head     []byte // the part of a header that Read has not returned yet
	data     int64  // the bytes of data that follow it
	consumed [pcapRecord + patchedExtra]byte
}

func (f *pcapFilter) Read(p []byte) (int, error) {
	if len(f.head) == 0 && f.data == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.head)
	f.head = f.head[n:]
	p = p[n:min(int64(len(p)), int64(n)+f.data)]
	if len(f.head) > 0 || len(p) == 0 {
		return n, nil
	}
	more, err := f.in.Read(p)
	f.data -= int64(more)
	return n + more, err
}

// next reads the header of the file or of a frame.
func (f *pcapFilter) next() error {
	if !f.begun {
		f.begun = true
		return f.begin()
	}
	record := f.consumed[:pcapRecord+f.extra]
	if _, err := io.ReadFull(f.in, record); err != nil {
		return err
	}
	captured, length := f.order.Uint32(record[8:]), f.order.Uint32(record[12:])
	if f.minor < 3 || f.minor == 3 && captured > length {
		captured, length = length, captured
	}
	f.order.PutUint32(record[8:], captured)
	f.order.PutUint32(record[12:], max(captured, length))
	f.head, f.data = record[:pcapRecord], int64(captured)
	return nil
}

// begin reads the header of the file. It passes a file that it does not know unchanged.
func (f *pcapFilter) begin() error {
	header := make([]byte, pcapHeader)
	n, err := io.ReadFull(f.in, header)
	f.head, f.data = header[:n], 1<<62
	if err != nil {
		return nil
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(header) {
		case pcapPatched:
			f.extra = patchedExtra
			order.PutUint32(header, pcapMicroseconds)
		case pcapMicroseconds, pcapNanoseconds:
		default:
			continue
		}
		major, minor := order.Uint16(header[4:]), order.Uint16(header[6:])
		if major == 2 && minor <= 4 {
			f.order, f.minor, f.data = order, minor, 0
			order.PutUint16(header[6:], 4)
		}
	}
	return nil
}
