// Package tcpdump parses lines of tcpdump -n into Ethernet frames, such as "ARP, Request who-has 10.239.0.102 tell
// 10.239.0.101, length 28". It parses everything that responder.Describe writes, except for malformed frames, so that
// users can ask about a line of arpfabric's log. It also parses shorter forms: "who-has 10.239.0.102 tell
// 10.239.0.101".
//
// Fields that are not in the line are zero in the frame, or have the value that a plain host sends. The package does
// not run tcpdump, and does not look up the MAC of an address.
package tcpdump
