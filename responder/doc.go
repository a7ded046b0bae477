// Package responder decides about one Ethernet frame: whether the fabric answers it, drops it or lets it pass.
//
// A [Responder] holds a network's [registry.Registry], which says which IPv4 address belongs to which MAC, and its
// [Policy]. [Responder.Decide] reads a frame and returns a [Verdict]: an action, and the reason for it. If the action is
// [Reply], Decide also writes the answer into a buffer of the caller's. The fabric of a cloud VPC answers each request in
// this way, so a guest never receives another guest's ARP. [Responder.Explain] makes the same decision and lists the
// values that were compared.
//
// The package is pure. It does no I/O, starts no goroutine, reads no clock and writes no log; the same frame always gets
// the same verdict. The caller receives and sends frames, isolates guests on a bridge, and counts.
package responder
