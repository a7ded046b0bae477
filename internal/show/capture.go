package show

import (
	"fmt"
	"io"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Capture writes events as pcapng: each port is an interface, and each verdict is the comment of its packet.
type Capture struct {
	file       *pcapgo.NgWriter
	losses     *Output
	interfaces map[string]int
}

// NewCapture returns a Capture that writes to w. It writes the header of the file at once. Reports of lost events,
// which are not packets, go to losses.
func NewCapture(w io.Writer, losses *Output) (*Capture, error) {
	file, err := pcapgo.NewNgWriterInterface(w, noPort, pcapgo.NgWriterOptions{
		SectionInfo: pcapgo.NgSectionInfo{Application: "arpfabric watch"},
	})
	if err != nil {
		return nil, err
	}
	return &Capture{file, losses, map[string]int{}}, file.Flush()
}

// noPort is an interface without packets: libpcap rejects a pcapng file that has no interface.
var noPort = pcapgo.NgInterface{
	Name: "arpfabric", Description: "not a port: each port has an interface of its own", LinkType: layers.LinkTypeEthernet,
}

// Event writes an event and flushes it, so that a reader at the end of a pipe gets it at once.
func (c *Capture) Event(e api.Event) error {
	if e.Lost > 0 {
		_ = c.losses.Event(e) // the capture matters more than the report
		return nil
	}
	index, err := c.index(e.Port)
	if err != nil {
		return err
	}
	info := gopacket.CaptureInfo{
		Timestamp: e.Time, CaptureLength: len(e.Frame), Length: max(e.Length, len(e.Frame)), InterfaceIndex: index,
	}
	comment := fmt.Sprintf("%s: %s %s", e.Network, e.Action, e.Reason)
	if e.DryRun {
		comment += " (classic)"
	}
	if e.Undelivered != "" {
		comment += " (not delivered: " + e.Undelivered + ")"
	}
	err = c.file.WritePacketWithOptions(info, e.Frame, pcapgo.NgPacketOptions{Comments: []string{comment}})
	if err != nil {
		return err
	}
	return c.file.Flush()
}

// index returns the number of a port's interface in the capture, and writes the interface if it is new.
func (c *Capture) index(port string) (int, error) {
	if i, ok := c.interfaces[port]; ok {
		return i, nil
	}
	index, err := c.file.AddInterface(pcapgo.NgInterface{Name: port, LinkType: layers.LinkTypeEthernet})
	if err == nil {
		c.interfaces[port] = index
	}
	return index, err
}
