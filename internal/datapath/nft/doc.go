// Package nft implements a datapath by nftables and NFLOG. The fabric decides about ARP in user space.
//
// The guard of bridges is one nftables table, `bridge arpfabric`. Its rules decide which frames may leave a guest's
// port, and hand guests' ARP to the fabric. `nft list table bridge arpfabric` prints it with comments. A second table,
// `netdev arpfabric`, guards sidecars: interfaces of the network namespace that the fabric runs in, when the namespace
// is the guest.
//
// The contents that a table should have follow from the plan and from nothing else (ruleset.go, network.go, rules.go).
// [BridgeTable.Apply] brings the kernel there in one transaction, which changes only the differences.
//
// The package does not decide about ARP, and does not look for interfaces.
package nft
