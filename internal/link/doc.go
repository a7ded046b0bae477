// Package link knows the host's interfaces: which are members of which bridge, as they come and go, and
// which addresses they have. It also puts the fabric's own TAP into a bridge.
//
// A [Watcher] does not follow single changes. Any change makes it read everything anew, so that what the
// fabric knows is right after a burst of changes, and after messages were lost, too.
//
// The package does not know what a network is, and does not decide which member is a guest port.
package link
