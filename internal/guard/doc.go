// Package guard is the kernel's part: one nftables table, `bridge arpfabric`, that keeps guests' ARP from
// crossing a bridge and hands it to the fabric. `nft list table bridge arpfabric` shows it, with comments.
//
// A [Plan] says what the guard should hold and is pure. [Guard.Apply] brings the kernel there, in one
// transaction: there is no moment with half a guard. The rules never change, only the sets of ports that
// they look into.
//
// The table belongs to no process: when the fabric dies, guests' ARP goes unanswered, and none leaks.
package guard
