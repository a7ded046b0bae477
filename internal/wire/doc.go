// Package wire reads frames from the kernel and sends answers, in batches.
//
// A [Conn] reads frames, each with its ingress port, and writes answers, each out of one port. [Packet] is a Conn over
// a packet socket, for the segment behind an interface. [TAP] is a Conn over a TAP device that the fabric makes.
// [NFLOG] only reads: it receives the frames that the datapath's rules log.
//
// The package does not look into frames, except to put back the VLAN tag that the kernel removed. It does not decide
// about frames, and does not keep the kernel from forwarding them as well: a datapath does that.
package wire
