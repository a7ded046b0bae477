package api

import (
	"context"
	"net/netip"

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/responder"
)

// Fabric is what is asked and told. Its methods may be called from several goroutines at once.
type Fabric interface {
	Status() Status
	Ports() []Port           // by network and name
	Violations() []Violation // by network, port, and what they are

	// LookupAddress returns the binding that each network has for an address, and LookupMAC those of a MAC, by
	// network and address.
	LookupAddress(netip.Addr) []Binding
	LookupMAC(responder.MAC) []Binding

	// LookupBeginning returns some bindings whose first address, as text, begins so, by network and address.
	LookupBeginning(string) []Binding

	// Explain says what becomes of a frame, and why. Its error is a mistake in the question.
	Explain(explain.Question) (explain.Explanation, error)

	// Reload reads the configuration again. After an error, which may have several lines, the one before is in force.
	Reload(context.Context) error

	Listen(filter event.Filter, room int) *event.Listener
}
