package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// maxFrame is the longest frame that is read, in bytes: tcpdump's largest snapshot length.
const maxFrame = 256 << 10

// A frame is an Ethernet frame of a capture.
type frame struct {
	number int       // position in the capture, from 1, as in Wireshark
	at     time.Time // when it was captured
	data   []byte    // valid until the next frame is read
	cut    bool      // the capture has fewer bytes of it than were sent
}

// hasNoType reports whether a frame ended before its EtherType when it was sent, so that it is not ARP.
func (f frame) hasNoType() bool { return len(f.data) < ethernetHeader && !f.cut }

const ethernetHeader = 14

// A capture reads the Ethernet frames of a pcap or pcapng file, compressed by gzip or not.
type capture struct {
	source interface {
		ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	}
	link        layers.LinkType         // of all frames, unless they are mixed
	mixed       bool                    // each frame has its own link type
	read        int                     // number of frames read, of all link types
	cooked      int                     // number of frames among them without a destination
	notEthernet map[layers.LinkType]int // number of frames read by other link type
	buffer      []byte                  // the last frame made of a cooked one
}

// The first bytes of files. Those of pcapng are the type of a section header block.
var (
	magicGzip   = []byte{0x1f, 0x8b}
	magicPcapng = []byte{0x0a, 0x0d, 0x0d, 0x0a}
)

// openCapture detects the format of a capture and reads its header. Its frames have times.
func openCapture(in io.Reader) (*capture, error) { return opener{}.open(in) }

// An opener opens captures.
type opener struct {
	withoutTime bool // frames may be without a time, and have the time 0 then
}

func (o opener) open(in io.Reader) (*capture, error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	start, err := buffered.Peek(len(magicPcapng))
	switch {
	case len(start) == 0 && err == io.EOF:
		return nil, errors.New("the file is empty")
	case bytes.HasPrefix(start, magicGzip):
		return o.openCompressed(buffered)
	case bytes.Equal(start, magicPcapng):
		return o.openPcapng(buffered)
	}
	if start, _ := buffered.Peek(longestMagic); compressionOf(start) != "" {
		return nil, errors.New(compressionOf(start))
	}
	return openPcap(buffered)
}

func (o opener) openCompressed(in io.Reader) (*capture, error) {
	plain, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReaderSize(plain, 64<<10)
	if start, _ := buffered.Peek(len(magicGzip)); bytes.Equal(start, magicGzip) {
		return nil, errors.New("the file is compressed twice")
	}
	return o.open(buffered)
}

func openPcap(in *bufio.Reader) (*capture, error) {
	r, err := pcapgo.NewReader(&pcapFilter{in: in})
	if err != nil {
		return nil, fmt.Errorf("not a capture in the pcap or pcapng format (%w)", err)
	}
	if t := r.LinkType(); t != layers.LinkTypeEthernet && !isCooked(t) {
		return nil, linkTypeError(t)
	}
	r.SetSnaplen(maxFrame) // pcapgo would allocate the snapshot length in the file, which may be any number
	return &capture{source: r, link: r.LinkType(), notEthernet: map[layers.LinkType]int{}}, nil
}

func (o opener) openPcapng(in *bufio.Reader) (*capture, error) {
	r, err := pcapgo.NewNgReader(&pcapngFilter{in: in, simple: o.withoutTime}, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		return nil, fmt.Errorf("cannot read the pcapng file: %w", err)
	}
	return &capture{source: r, mixed: true, notEthernet: map[layers.LinkType]int{}}, nil
}

// linkTypeError is the error for a capture whose frames are not Ethernet.
type linkTypeError layers.LinkType

func (e linkTypeError) Error() string {
	why := "only Ethernet frames can be evaluated"
	if isCooked(layers.LinkType(e)) {
		why = "all of them are of interfaces without Ethernet headers"
	}
	return fmt.Sprintf("its frames are of link type %s: %s", linkTypeName(layers.LinkType(e)), why)
}

// linkTypeNames are names in the registry of pcap link types (draft-ietf-opsawg-pcaplinktype).
var linkTypeNames = map[layers.LinkType]string{
	0: "NULL", 1: "ETHERNET", 6: "IEEE802_5", 7: "ARCNET_BSD", 8: "SLIP", 9: "PPP", 10: "FDDI", 50: "PPP_HDLC", 51: "PPP_ETHER",
	101: "RAW", 104: "C_HDLC", 105: "IEEE802_11", 107: "FRELAY", 108: "LOOP", 113: "LINUX_SLL", 117: "PFLOG",
	119: "IEEE802_11_PRISM", 122: "IP_OVER_FC", 127: "IEEE802_11_RADIOTAP", 129: "ARCNET_LINUX", 138: "APPLE_IP_OVER_IEEE1394",
	143: "DOCSIS", 163: "IEEE802_11_AVS", 187: "BLUETOOTH_HCI_H4", 189: "USB_LINUX", 192: "PPI", 195: "IEEE802_15_4_WITHFCS",
	201: "BLUETOOTH_HCI_H4_WITH_PHDR", 220: "USB_LINUX_MMAPPED", 227: "CAN_SOCKETCAN", 228: "IPV4", 229: "IPV6", 239: "NFLOG",
	240: "NETANALYZER", 242: "IPOIB", 249: "USBPCAP", 251: "BLUETOOTH_LE_LL", 253: "NETLINK", 276: "LINUX_SLL2",
}

// linkTypeName returns the name of a link type and its number.
func linkTypeName(t layers.LinkType) string {
	name, known := linkTypeNames[t]
	switch {
	case isCooked(t):
		return name + " (Linux cooked)"
	case known:
		return fmt.Sprintf("%s (%d)", name, uint16(t))
	}
	return fmt.Sprint(uint16(t))
}

// A cutError is an error that ends the reading of a capture early.
type cutError struct {
	read int // number of frames before it
	err  error
}

func (e *cutError) Unwrap() error { return e.err }

func (e *cutError) Error() string {
	isCut := errors.Is(e.err, io.ErrUnexpectedEOF) || errors.Is(e.err, errBlockCut)
	switch {
	case isCut && e.read == 0:
		return "the capture is cut off before its first frame"
	case e.read == 0:
		return fmt.Sprintf("cannot read the capture up to its first frame: %v", e.err)
	case isCut:
		return fmt.Sprintf("the capture is cut off after frame %d", e.read)
	case errors.Is(e.err, context.Canceled):
		return fmt.Sprintf("interrupted after frame %d; the rest of the capture was not read", e.read)
	}
	return fmt.Sprintf("cannot read the capture after frame %d: %v", e.read, e.err)
}

// next returns the next Ethernet frame, io.EOF at the end of the capture, or a *cutError.
func (c *capture) next() (frame, error) {
	for {
		data, info, err := c.source.ZeroCopyReadPacketData()
		switch {
		case err == io.EOF && info.CaptureLength > 0: // pcapgo returns io.EOF after the header of a truncated frame, too
			return frame{}, &cutError{c.read, io.ErrUnexpectedEOF}
		case err == io.EOF:
			return frame{}, io.EOF
		case err != nil:
			return frame{}, &cutError{c.read, err}
		}
		c.read++
		t := c.linkType(info)
		if data, ok := c.ethernet(t, data); ok {
			return frame{c.read, info.Timestamp, data, info.CaptureLength < info.Length}, nil
		}
		c.notEthernet[t]++
	}
}

// linkType returns the link type of a frame.
func (c *capture) linkType(info gopacket.CaptureInfo) layers.LinkType {
	if !c.mixed {
		return c.link
	}
	if t, ok := info.AncillaryData[0].(layers.LinkType); ok {
		return t
	}
	return layers.LinkTypeEthernet
}

// ethernet returns the Ethernet frame in the data of a link type. ok is false if there is none.
func (c *capture) ethernet(t layers.LinkType, data []byte) (frame []byte, ok bool) {
	if !isCooked(t) {
		return data, t == layers.LinkTypeEthernet
	}
	if c.buffer, ok = uncook(t, data, c.buffer); ok {
		c.cooked++
	}
	return c.buffer, ok
}

// each calls visit with every Ethernet frame up to the end of the capture, or until ctx is done. It returns warnings
// about frames that visit did not get. It returns an error if no frame could be read, or if all frames have other link
// types.
func (c *capture) each(ctx context.Context, visit func(frame)) (warnings []string, err error) {
	for {
		f, err := c.next()
		if err == nil && ctx.Err() != nil {
			err = &cutError{c.read, ctx.Err()}
		}
		if err != nil {
			return c.warnings(err)
		}
		visit(f)
	}
}

// warnings returns the warnings and the error of each, for a capture whose reading ended with the error end.
func (c *capture) warnings(end error) (warnings []string, err error) {
	if n := c.notEthernetFrames(); n > 0 {
		most := c.mostNotEthernet()
		if n == c.read {
			return nil, linkTypeError(most)
		}
		warnings = append(warnings, fmt.Sprintf(
			"%d frames are not Ethernet and were not evaluated, most of them of link type %s", n, linkTypeName(most)))
	}
	if c.cooked > 0 {
		warnings = append(warnings, fmt.Sprintf("%d frames are of the interface \"any\" (Linux cooked): such a capture has a frame "+
			"once for each interface that it crossed, and each is counted; to count it once, capture on the bridge", c.cooked))
	}
	if end != io.EOF && c.read == 0 {
		return nil, end
	}
	if end != io.EOF {
		warnings = append(warnings, end.Error())
	}
	return warnings, nil
}

// notEthernetFrames returns the number of frames read that are not Ethernet.
func (c *capture) notEthernetFrames() int {
	n := 0
	for _, frames := range c.notEthernet {
		n += frames
	}
	return n
}

// mostNotEthernet returns the most frequent of the other link types.
func (c *capture) mostNotEthernet() layers.LinkType {
	return slices.MaxFunc(slices.Sorted(maps.Keys(c.notEthernet)), func(a, b layers.LinkType) int {
		return cmp.Compare(c.notEthernet[a], c.notEthernet[b])
	})
}
