// Package guard is the kernel's part: one nftables table, `bridge arpfabric`, that says what may leave a
// guest's port, and hands guests' ARP to the fabric. `nft list table bridge arpfabric` shows it, with comments.
//
// A [Plan] says what the guard should hold and is pure. [Guard.Apply] brings the kernel there, in one
// transaction that changes only what differs: there is no moment with half a guard.
//
// [Sidecars] is a second table, `netdev arpfabric`, for interfaces of the network namespace that the fabric runs
// in, where that is the guest.
//
// A table belongs to no process: when the fabric dies, guests' ARP goes unanswered, and nothing leaks.
package guard
