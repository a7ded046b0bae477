// Package fabric is a running fabric: it puts the responder, the wire, the guard and what is known of the
// host's interfaces together, takes other configurations over while it runs, and takes itself down again.
//
// A frame's way: the guard (or a TAP, or a packet socket) hands it to a [wire.Conn]; serve.go looks up the
// port it came in by, asks the network's responder, counts the verdict on the port, and sends the answer
// out of that port. What the host itself asks, and the guest of a sidecar, is answered in its neighbour table
// (host.go).
//
// Beside that runs one more goroutine, which everything else belongs to. It follows the interfaces: ports.go
// turns every change into the ports of each network, and those into the guard's plan. It puts the guard
// back where somebody took it away. And it carries reloads out (reload.go).
//
// What decides is package responder; what is guarded, package guard. This package holds neither rules
// nor sockets of its own.
package fabric
