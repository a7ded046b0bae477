// Package replay says what the fabric would have done with the frames of a capture, and holds it against the
// answers that are in the capture.
//
// [Run] reads pcap and pcapng as a stream, decides about each ARP frame with the responder that the daemon decides
// with, and returns a [Summary]. [Learn] reads the same and returns the bindings that the capture shows. Both need
// no more memory for a large capture than for a small one: what they keep is bounded, and what is beyond the bounds
// is counted.
//
// A capture has frames of all directions, and doesn't say which ports they went through. So every frame is judged
// as a guest's, from the port that its sender's binding names, if it names one. A reply that answers a request of
// the capture is no guest's reply: it is what the fabric's own answer is compared with.
//
// The package does not look at the machine, send anything, or know what only the running fabric does: rate limits,
// uplinks, and the host's own addresses.
package replay
