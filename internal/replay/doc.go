// Package replay evaluates the frames of a capture: it decides about them as the fabric does, and compares the fabric's
// answers with those in the capture.
//
// [Run] reads pcap and pcapng as a stream, decides about each ARP frame with the daemon's responder, and returns a
// [Summary]. [Learn] reads the same formats and returns the bindings that the capture shows. The memory that both need
// does not depend on the size of the capture: what they keep is bounded, and they count what exceeds the bounds.
//
// A capture has frames of all directions, and does not tell their ports. So every frame is evaluated as a guest's, from
// the port that its sender's binding names, if it names one. A reply that answers a request in the capture is not
// evaluated as a guest's reply; it is compared with the fabric's answer.
//
// The package does not look at the machine and sends nothing. It does not know the state of a running fabric: rate
// limits, uplinks, and the host's own addresses.
package replay
