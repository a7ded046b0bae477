// Package fabric runs a fabric. It connects the responder, the datapath and the host's interfaces, applies new
// configurations and registries while it runs, and removes the guard when it stops.
//
// The path of a frame: a [wire.Conn] of the datapath, a TAP or an interface reads the frame. server.go looks up the
// ingress port, calls the network's responder, counts the verdict on the port, and sends the answer out of that port.
// The requests of the host itself, and those of a sidecar's guest, are answered by an entry in the host's neighbour
// table (host.go).
//
// Besides the servers, one goroutine runs, the loop (loop.go). It owns the networks. After every change of interfaces
// it reconciles (reconcile.go): it builds the table of ports (ports.go) and the datapath's plan, and applies the plan.
// It installs the guard again when another program has changed it, and applies configurations and registries
// (apply.go).
//
// An attachment connects a network to its guests (attach_bridge.go, attach_tap.go, attach_interface.go,
// attach_sidecar.go).
//
// Package responder decides about frames, and a datapath guards ports. This package has no nftables rules of its own.
package fabric
