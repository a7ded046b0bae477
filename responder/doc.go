// Package responder decides what the fabric makes of one Ethernet frame.
//
// A [Responder] holds the [Registry] of a network (which IPv4 address belongs to which MAC) and its
// [Policy]. [Responder.Handle] reads a frame, writes the answer into a buffer of the caller's where there
// is one, and returns a [Verdict]: an action and the reason for it. A cloud VPC's fabric answers every
// request that way: no guest ever hears another guest's ARP. [Responder.Trace] decides in the same way, and shows what
// was compared.
//
// The package is pure. It does no I/O, starts no goroutine, reads no clock and writes no log; the same
// frame always gets the same verdict. It does not carry frames, keep guests apart on a bridge, or count:
// that is for the caller.
package responder
