package datapath

import (
	"context"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
)

// A Datapath guards ports in the kernel, and carries frames between them and the fabric. The guard outlives the
// process: if the fabric dies, guests' ARP is not answered, and does not reach other guests.
//
// One goroutine at a time may call Apply, Intact, Remove and Rollback. Any goroutine may call Counters, Lost and Parts.
type Datapath interface {
	// The methods of wire.Conn work once Open has succeeded. Read returns the frames that the guard hands over, each
	// with its ingress port, and samples of the frames that the allow-list refused. Write sends each frame out of its
	// port, past the bridge. Close makes Read return; the guard stays.
	wire.Conn

	// Open opens the sockets that carry frames. It does nothing if they are open. It returns an error if the process
	// lacks a privilege, if the kernel lacks a feature, or if another process holds a resource that only one process
	// can have.
	Open() error

	// Apply makes the kernel guard the ports in p and no others. s has the interfaces as they were when p was made. At
	// every moment, either the old guard or the new one is in force. After an error, each part of the guard is as
	// before or as in p, and no part is missing; the next Apply tries to bring all parts in line.
	//
	// If p is empty, Apply removes any guard that it finds, including one that another process has left.
	Apply(p Plan, s link.Snapshot) error

	// Rollback removes what Apply has installed since the Datapath was made. A part of the guard that replaced one of
	// an earlier fabric stays, so that the guests of that fabric stay guarded.
	Rollback() error

	// Remove removes any guard, including one that another process has left. It is no error if there is none.
	Remove() error

	// Parts returns the names, for people, of the parts of the guard that are in the kernel, including those that another
	// process has left. Without the privilege to read them it returns none.
	Parts() []string

	// Watch sends a value to Changed when another process may have changed the guard. It returns nil when ctx ends, and
	// an error if it cannot watch. Even while it watches, the caller must call Intact from time to time.
	Watch(ctx context.Context) error

	// Changed returns a channel that receives a value after another process may have changed the guard. Several changes
	// may lead to one value.
	Changed() <-chan struct{}

	// Intact returns the names, for the log, of the parts of the guard that are not as Apply left them. The next Apply
	// installs them again. If quick is true, it does not read the parts that take long with many bindings.
	Intact(quick bool) []string

	// Warnings returns messages for the log about the parts of the last Plan that the kernel cannot apply.
	Warnings() []string

	// Counters returns the frames that only the kernel has counted since the guard was installed, by guest port. Ports
	// without such frames may be missing.
	Counters() (map[string]Counters, error)

	// Answers returns a Conn, opened by the first call, from which the requests can be read that the kernel has answered by
	// itself, while Show(true) is in force. It returns nil if the kernel answers none. Read returns copies, perhaps not of
	// all, with IsAnswered set, and, without it, requests of a sidecar's guest that the kernel leaves to the fabric. It returns
	// an error if it cannot open the Conn.
	Answers() (wire.Conn, error)

	// Program describes the program that handles frames by itself; nil if there is none. Any goroutine may call it.
	Program() *Program

	// Show says whether anybody wants to see the requests that the kernel answers by itself. Any goroutine may call it.
	Show(on bool)

	// Overruns returns how many times messages about changes were lost because they were not read in time. Watch treats
	// each loss as a change.
	Overruns() uint64
}

// Program is a program in the kernel that handles frames by itself.
type Program struct {
	Ports int // that it is attached to
	Maps  []Map

	// Detours says why the frames of some ports cross the bridge, although the program could send them past it.
	Detours []string

	// LeftToFabric says why the fabric answers the requests of some ports, or of sidecars' guests, itself.
	LeftToFabric []string
}

// Map is a table of such a program.
type Map struct {
	Name       string
	MaxEntries uint32
	Bytes      uint64 // of memory; 0 if the kernel does not tell
}

// Counters has the numbers of frames of a guest port that the kernel has counted. The fabric saw only some of them, or
// none.
type Counters struct {
	Refused uint64                      // frames not on the allow-list, for any reason
	Dropped map[responder.Reason]uint64 // frames dropped for a reason that only the kernel detects

	// Handled has the frames that the kernel has handled by itself, of those that the fabric could handle, too. Len is 0
	// in all verdicts.
	Handled map[responder.Verdict]uint64
}
