package store

import (
	"errors"
	"net/netip"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// A Store keeps allocations. One goroutine at a time may use it, except for History.
type Store interface {
	// Table returns the allocations. Only Commit and Maintain change them.
	Table() *Table

	// Commit makes changes durable, gives each its revision, and applies them to the table. After an error none of them
	// has happened. If the power fails before Commit returns, each of them may have happened or not.
	Commit(changes []Change) error

	// Maintain does what may take a while and can wait, such as writing the file of all allocations again. An error
	// endangers no allocation; Maintain tries again later.
	Maintain() error

	// History returns the last changes that q asks for, the oldest first. It may be called at any time.
	History(q HistoryQuery) ([]Change, error)

	Close() error
}

// Shared is a [Store] that other hosts change, too. Its Commit takes one change at a time, and fails with [ErrConflict] if
// the table was behind.
type Shared interface {
	Store

	// Changed returns a channel that receives when Receive or Health has something new.
	Changed() <-chan struct{}

	// Receive applies to the table what others have changed, and returns the addresses.
	Receive() []Address

	// Health says whether the store can be reached. It may be called at any time.
	Health() Health
}

// ErrConflict is the error of a change that was decided while somebody else changed the same. The table has the others'
// change now, so decide again.
var ErrConflict = errors.New("another host has changed the same in the meantime")

// ErrReadOnly is the error of a change that this host may never make.
var ErrReadOnly = errors.New("this host may only read allocations")

// An Address is an address of a network.
type Address struct {
	Network string
	netip.Addr
}

// Health is the state of the connection to a shared store.
type Health struct {
	Err     error     // why it can't be reached or changed; nil if it can
	Current time.Time // when the table was last known to have what the store has; the zero Time for never
}

// An Allocation is a binding made at runtime.
type Allocation struct {
	Network  string
	Address  netip.Addr
	MAC      registry.MAC
	Name     string    // unique among the allocations of the network; may be empty
	Port     string    // the only port that the owner may send from; empty for any
	Expires  time.Time // in whole seconds; the zero Time if it does not expire
	Revision uint64    // of the change that made it
}

// Source is the source of the origins of allocations.
const Source = "store"

// Binding returns the allocation as a binding, with its revision in the origin.
func (a Allocation) Binding() registry.Binding {
	return registry.Binding{
		First: a.Address, Last: a.Address, MAC: a.MAC, Name: a.Name, Port: a.Port,
		Origin: registry.Origin{Source: Source, Line: int(a.Revision)},
	}
}

// Kind is the kind of a change.
type Kind string

// The kinds of changes.
const (
	Allocate Kind = "allocate" // of an address that was not allocated
	Modify   Kind = "change"   // of an allocation: another MAC, name, port or expiry
	Free     Kind = "free"
	Expire   Kind = "expire" // the fabric freed the address, because the allocation expired
)

// A Change is one change of the store.
type Change struct {
	Kind
	Allocation             // as it is after the change; the one that was freed, with the revision of the change
	Before     *Allocation // the one that was modified, without its revision; nil for other kinds
	At         time.Time   // in whole seconds
	By         Caller      // who asked for it; the zero Caller for Expire
}

// A Caller is a process that asked for a change.
type Caller struct {
	UID uint32
	PID int32
}

// A Held address was freed, and is not given to anybody else for a while.
type Held struct {
	MAC   registry.MAC // that it had
	Since time.Time
}

// A HistoryQuery selects changes.
type HistoryQuery struct {
	Network string // empty for all
	Before  uint64 // only changes with a lower revision; 0 for all
	Limit   int    // the most changes, at least 1
}

// matches reports whether the query asks for a change.
func (q HistoryQuery) matches(c Change) bool {
	return (q.Network == "" || q.Network == c.Network) && (q.Before == 0 || c.Revision < q.Before)
}
