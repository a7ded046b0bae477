// Package registry holds the bindings of a network, which say which IPv4 address belongs to which MAC, which MACs are
// routers, and which are guests without an IPv4 address.
//
// A [Registry] is immutable. A [Builder] makes one from bindings in any order and reports every conflict.
// [Registry.Edit] makes a changed registry that shares the unchanged part with the original, in a time that depends on
// the number of changes. [Diff] finds the addresses whose owner differs between two registries. If they share most of
// their bindings, its time depends on the number of changes too.
//
// The package is pure. It does no I/O, reads no clock, writes no log and reads no files. The caller gives the [Origin] of
// each binding.
package registry
