// Package source follows what other programs know of addresses, such as a DHCP server's leases, and keeps the bindings.
//
// A source never shrinks to nothing by a failure: if it can't be read, what was known stays, each lease until its end. A
// lease ends at its time, whether or not its file changes then.
package source
