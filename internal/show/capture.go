package show

import (
	"fmt"
	"io"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Capture writes events as pcapng: each port is an interface, and each verdict the comment of its packet.
type Capture struct {
	file       *pcapgo.NgWriter
	losses     *Output
	interfaces map[string]int
}

// NewCapture makes a Capture on w, and writes at once what makes it one. Word of lost events, which are no packets, goes
// to losses.
func NewCapture(w io.Writer, losses *Output) (*Capture, error) {
	file, err := pcapgo.NewNgWriterInterface(w, noPort, pcapgo.NgWriterOptions{
		SectionInfo: pcapgo.NgSectionInfo{Application: "arpfabric watch"},
	})
	if err != nil {
		return nil, err
	}
	return &Capture{file, losses, map[string]int{}}, file.Flush()
}

// noPort is an interface without packets: a file that has none yet is no capture without one.
var noPort = pcapgo.NgInterface{
	Name: "arpfabric", Description: "not a port; those have interfaces of their own", LinkType: layers.LinkTypeEthernet,
}

// Event writes an event, at once.
func (c *Capture) Event(e api.Event) error {
	if e.Lost > 0 {
		c.losses.Event(e) // who does not hear of it still gets the capture
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
	err = c.file.WritePacketWithOptions(info, e.Frame, pcapgo.NgPacketOptions{Comments: []string{comment}})
	if err != nil {
		return err
	}
	return c.file.Flush()
}

// index returns the number of a port's interface in the capture, which it makes first if it has to.
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
