// Package ask asks a segment who has an address, as a guest would: it broadcasts ARP requests from an interface and
// listens for all that answer, not for the first alone, so that a conflict is seen.
//
// What was heard is kept in a [Report], which does no I/O. The package knows nothing of a fabric: it hears what any
// guest would hear.
package ask
