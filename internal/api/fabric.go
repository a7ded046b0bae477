package api

import (
	"context"
	"net/netip"
	"time"

	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// Fabric is the running fabric, as the server needs it. Its methods may be called from several goroutines at once.
type Fabric interface {
	Status() Status
	Ports() []Port // sorted by network and name

	// Violations returns the records that match, sorted by network, port, reason, MAC and address. ClearViolations removes
	// them, and returns their number.
	Violations(ViolationFilter) []Violation
	ClearViolations(ViolationFilter) int

	// LookupAddress returns the binding of an address in each network that has one, and LookupMAC returns at most
	// MaxBindings bindings of a MAC. Both sort by network and address.
	LookupAddress(netip.Addr) []Binding
	LookupMAC(registry.MAC) []Binding

	// LookupName returns the bindings with a name, at most MaxBindings, sorted by network and address.
	LookupName(string) []Binding

	// LookupTextPrefix returns at most 100 bindings whose first address, written as text, has this prefix, sorted by
	// network and address.
	LookupTextPrefix(string) []Binding

	// Explain returns the verdict on a frame and the reasons for it. Its error is a mistake in the question.
	Explain(explain.Question) (explain.Explanation, error)

	// NetworkBindings returns bindings of a network, sorted by address: those in force, and the allocations that are not.
	NetworkBindings(network string, q BindingQuery) (BindingPage, error)

	// FreeRanges returns the addresses that Allocate may choose from, at most limit runs of them.
	FreeRanges(network string, limit int) ([]FreeRange, error)

	// AddressMap returns the states of a network's addresses: at most limit blocks, those that begin behind after.
	AddressMap(network string, after netip.Addr, limit int) (AddressMap, error)

	// Allocate allocates an address that is not allocated, PutBinding allocates one or changes its allocation, and
	// FreeBinding frees one. When they return, the change is durable and in force. Their errors may be
	// *[allocate.Refusal].
	Allocate(ctx context.Context, network string, q allocate.Request) (NetworkBinding, error)
	PutBinding(ctx context.Context, network string, q allocate.Request) (NetworkBinding, error)
	FreeBinding(ctx context.Context, network string, addr netip.Addr, p allocate.Precondition, by store.Caller) (NetworkBinding, error)

	// History returns the last changes of allocations, the oldest first.
	History(q store.HistoryQuery) ([]Change, error)

	// Reload reads the configuration again. After an error, which may have several lines, the previous configuration is
	// in force.
	Reload(context.Context) error

	// Listen subscribes to the events that match filter. capacity is the number of events that may wait for the
	// listener; the listener counts the others as lost. It begins with the last events before, at most last.
	Listen(filter event.Filter, capacity, last int) *event.Listener
}

// ViolationFilter selects records of violations.
type ViolationFilter struct {
	event.Filter

	// Since is the time since which the violation must have been seen; the zero Time for any.
	Since time.Time
}
