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

// maxFrame is the longest frame that is read, in bytes: what tcpdump captures at most.
const maxFrame = 256 << 10

// A frame is an Ethernet frame of a capture.
type frame struct {
	number int       // of the frames in the capture, from 1, as Wireshark counts them
	at     time.Time // when it was captured
	data   []byte    // valid until the next frame is read
	cut    bool      // the capture has less of it than was sent
}

// A capture reads the Ethernet frames of a pcap or pcapng file, compressed by gzip or not.
type capture struct {
	source interface {
		ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	}
	mixed       bool                    // frames say which link type they have
	read        int                     // frames, of all link types
	notEthernet map[layers.LinkType]int // how many of them have these link types
}

// The first bytes of files. The one of pcapng is the type of a section header block.
var (
	magicGzip   = []byte{0x1f, 0x8b}
	magicPcapng = []byte{0x0a, 0x0d, 0x0d, 0x0a}
)

// openCapture reads as much of in as says what it is.
func openCapture(in io.Reader) (*capture, error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	start, err := buffered.Peek(len(magicPcapng))
	switch {
	case len(start) == 0 && err == io.EOF:
		return nil, errors.New("there is nothing in it: not even the header of a capture")
	case bytes.HasPrefix(start, magicGzip):
		return openCompressed(buffered)
	case bytes.Equal(start, magicPcapng):
		return openPcapng(buffered)
	}
	return openPcap(buffered)
}

func openCompressed(in io.Reader) (*capture, error) {
	plain, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReaderSize(plain, 64<<10)
	if start, _ := buffered.Peek(len(magicGzip)); bytes.Equal(start, magicGzip) {
		return nil, errors.New("it is compressed twice")
	}
	return openCapture(buffered)
}

func openPcap(in io.Reader) (*capture, error) {
	r, err := pcapgo.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("this is no capture in the pcap or pcapng format (%w)", err)
	}
	if r.LinkType() != layers.LinkTypeEthernet {
		return nil, linkTypeError(r.LinkType())
	}
	r.SetSnaplen(maxFrame) // the one in the file may be anything, and pcapgo would make room for it
	return &capture{source: r}, nil
}

func openPcapng(in *bufio.Reader) (*capture, error) {
	r, err := pcapgo.NewNgReader(&blocks{in: in}, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		return nil, fmt.Errorf("this capture in the pcapng format can't be read: %w", err)
	}
	return &capture{source: r, mixed: true, notEthernet: map[layers.LinkType]int{}}, nil
}

// linkTypeError says why frames that are not Ethernet can't be judged.
type linkTypeError layers.LinkType

func (e linkTypeError) Error() string {
	why := "only Ethernet frames can be judged"
	switch layers.LinkType(e) {
	case layers.LinkTypeLinuxSLL, layers.LinkTypeLinuxSLL2:
		why = "a capture of the interface \"any\" has lost the Ethernet headers, with the frames' tags and " +
			"destinations, which the fabric judges by; capture on one interface, such as the bridge: " +
			"tcpdump -i br0 -w FILE arp"
	}
	return fmt.Sprintf("its frames are of link type %s: %s", linkTypeName(layers.LinkType(e)), why)
}

// linkTypeName writes a link type as the registry of pcap link types has it.
func linkTypeName(t layers.LinkType) string {
	switch t {
	case layers.LinkTypeLinuxSLL:
		return "LINUX_SLL (Linux cooked)"
	case layers.LinkTypeLinuxSLL2:
		return "LINUX_SLL2 (Linux cooked)"
	}
	return fmt.Sprint(uint16(t))
}

// A cutError ends the reading of a capture before the capture's end.
type cutError struct {
	read int // frames before it
	err  error
}

func (e *cutError) Unwrap() error { return e.err }

func (e *cutError) Error() string {
	isCut := errors.Is(e.err, io.ErrUnexpectedEOF) || errors.Is(e.err, errBlockCut)
	switch {
	case isCut && e.read == 0:
		return "the capture is cut off before its first frame"
	case e.read == 0:
		return fmt.Sprintf("the capture can't be read up to its first frame: %v", e.err)
	case isCut:
		return fmt.Sprintf("the capture is cut off after frame %d", e.read)
	case errors.Is(e.err, context.Canceled):
		return fmt.Sprintf("interrupted after frame %d: the rest of the capture was not read", e.read)
	}
	return fmt.Sprintf("the capture can't be read after frame %d: %v", e.read, e.err)
}

// next returns the next Ethernet frame, io.EOF at the end of the capture, or a *cutError.
func (c *capture) next() (frame, error) {
	for {
		data, info, err := c.source.ZeroCopyReadPacketData()
		switch {
		case err == io.EOF && info.CaptureLength > 0: // pcapgo means: after the frame's header
			return frame{}, &cutError{c.read, io.ErrUnexpectedEOF}
		case err == io.EOF:
			return frame{}, io.EOF
		case err != nil:
			return frame{}, &cutError{c.read, err}
		}
		c.read++
		if t, ok := c.linkType(info); ok && t != layers.LinkTypeEthernet {
			c.notEthernet[t]++
			continue
		}
		return frame{c.read, info.Timestamp, data, info.CaptureLength < info.Length}, nil
	}
}

// linkType returns the link type that a frame says it has.
func (c *capture) linkType(info gopacket.CaptureInfo) (t layers.LinkType, ok bool) {
	if c.mixed {
		t, ok = info.AncillaryData[0].(layers.LinkType)
	}
	return t, ok
}

// each calls visit with every Ethernet frame up to the end of the capture, or until ctx is done. It returns what is to
// be said of frames that visit has not seen, and an error if there were frames, but none of Ethernet, or none could be
// read.
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

// warnings says what visit has not seen of a capture that was read up to end.
func (c *capture) warnings(end error) (warnings []string, err error) {
	if n := c.notEthernetFrames(); n > 0 {
		most := c.mostNotEthernet()
		if n == c.read {
			return nil, linkTypeError(most)
		}
		warnings = append(warnings, fmt.Sprintf(
			"%d frames are not Ethernet and were not judged, most of them of link type %s", n, linkTypeName(most)))
	}
	if end != io.EOF && c.read == 0 {
		return nil, end
	}
	if end != io.EOF {
		warnings = append(warnings, end.Error())
	}
	return warnings, nil
}

// notEthernetFrames returns how many of the frames that were read are not Ethernet.
func (c *capture) notEthernetFrames() int {
	n := 0
	for _, frames := range c.notEthernet {
		n += frames
	}
	return n
}

// mostNotEthernet returns the link type that most of them have.
func (c *capture) mostNotEthernet() layers.LinkType {
	return slices.MaxFunc(slices.Sorted(maps.Keys(c.notEthernet)), func(a, b layers.LinkType) int {
		return cmp.Compare(c.notEthernet[a], c.notEthernet[b])
	})
}
