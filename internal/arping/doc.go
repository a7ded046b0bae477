// Package arping sends ARP requests for an address, as a guest would. It broadcasts them from an interface and listens
// for all replies, not only for the first, so that it detects conflicts.
//
// A [Report] holds the replies and does no I/O. The package does not depend on a fabric: it receives what any guest
// would receive.
package arping
