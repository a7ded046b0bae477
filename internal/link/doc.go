// Package link reads and writes the kernel's network configuration over netlink: interfaces and their addresses, the
// members of bridges and their VLANs, and neighbour entries. It also adds the fabric's TAP to a bridge.
//
// The package knows neither networks nor guest ports. Package watch tells when to read the interfaces again.
package link
