// Package datapath defines what the fabric needs from the kernel: it isolates guests, hands their ARP to the fabric,
// and sends the answers.
//
// A [Plan] says which ports the kernel guards and how. It is pure data. A [Datapath] applies it. Package nft has the
// one implementation; package datapathtest tests every implementation against the contract on the methods.
//
// The package knows neither nftables nor eBPF. It does not decide about frames: package responder does.
package datapath
