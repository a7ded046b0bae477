// Package link reads and writes what the host's kernel knows of the network, over netlink: interfaces and
// their addresses, which of them are members of which bridge and in which of its VLANs, and neighbour entries.
// It also puts the fabric's own TAP into a bridge.
//
// The package does not know what a network is, and does not decide which member is a guest port. When to
// look again is what package watch tells.
package link
