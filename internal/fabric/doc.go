// Package fabric is a running fabric: it puts the responder, the wire, the guard and what is known of the
// host's interfaces together, and takes them down again.
//
// A frame's way: the guard (or a TAP, or a packet socket) hands it to a [wire.Conn]; serve.go looks up the
// port it came in by, asks the network's responder, counts the verdict on the port, and sends the answer
// out of that port. Beside it runs one more goroutine that follows the interfaces: ports.go turns every
// change into the ports of each network, and those into the guard's plan.
//
// What decides is package responder; what is guarded, package guard. This package holds neither rules
// nor sockets of its own.
package fabric
