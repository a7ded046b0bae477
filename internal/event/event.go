package event

import (
	"time"

	"github.com/arpfabric/arpfabric/responder"
)

// SnapLen is the most bytes of a frame that an event holds. An ARP frame has 60 bytes, and 4 more for each VLAN tag.
const SnapLen = 128

// Event is the verdict on one frame.
type Event struct {
	Time    time.Time
	Network string
	Port    string
	Verdict responder.Verdict
	DryRun  bool // the network's mode is classic: the bridge forwarded the frame, whatever the verdict

	// Undelivered is the cause for which the answer did not reach the requester; empty if it did, or if there is none.
	Undelivered string

	IsEarlier bool // it was published before the listener began to listen

	length int // of the whole frame, in bytes
	data   [SnapLen]byte
}

// Frame returns the frame, beginning with its Ethernet header and cut after SnapLen bytes. The slice shares the memory
// of the Event.
func (e *Event) Frame() []byte { return e.data[:min(e.length, SnapLen)] }

// Len returns the length of the whole frame, in bytes.
func (e *Event) Len() int { return e.length }

// SetFrame copies a frame into the event, up to SnapLen bytes.
func (e *Event) SetFrame(frame []byte) {
	e.length = len(frame)
	copy(e.data[:], frame)
}
