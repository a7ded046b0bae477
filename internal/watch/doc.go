// Package watch subscribes to the kernel's netlink notifications of changes, of interfaces or of the nftables ruleset.
//
// A [Watcher] notifies of a change without its details. The caller reads the whole state again, and so is up to date
// even after a burst of changes or after lost messages.
package watch
