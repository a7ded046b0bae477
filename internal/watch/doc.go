// Package watch hears from the kernel, over netlink, that something has changed: interfaces, or the
// nftables ruleset.
//
// A [Watcher] does not say what has changed. Whoever watches reads everything anew, so that what it knows is
// right after a burst of changes, and after messages were lost, too.
package watch
