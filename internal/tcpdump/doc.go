// Package tcpdump makes Ethernet frames of what tcpdump -n prints of them, such as "ARP, Request who-has 10.239.0.102
// tell 10.239.0.101, length 28". It reads whatever responder.Describe writes of a frame that isn't malformed, so that a
// line of arpfabric's log can be asked about, and the same with less: "who-has 10.239.0.102 tell 10.239.0.101".
//
// What the words don't say is zero in the frame, or as a plain host would send it. The package does not run tcpdump,
// and does not look up which MAC an address has.
package tcpdump
