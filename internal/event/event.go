package event

import (
	"time"

	"github.com/arpfabric/arpfabric/responder"
)

// SnapLen is how much of a frame an event has, in bytes. ARP with a few tags is 60.
const SnapLen = 128

// Event is the verdict on one frame.
type Event struct {
	Time    time.Time
	Network string
	Port    string
	Verdict responder.Verdict
	DryRun  bool // the network's mode is classic: the frame went on its way whatever the verdict

	length int // of the frame
	data   [SnapLen]byte
}

// Frame returns the frame from its Ethernet header on, cut after SnapLen bytes. It is valid as long as the Event is.
func (e *Event) Frame() []byte { return e.data[:min(e.length, SnapLen)] }

// Len is the length of the whole frame, in bytes.
func (e *Event) Len() int { return e.length }

// SetFrame copies a frame into the event.
func (e *Event) SetFrame(frame []byte) {
	e.length = len(frame)
	copy(e.data[:], frame)
}
