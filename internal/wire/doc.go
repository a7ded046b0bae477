// Package wire is where frames enter and leave the fabric.
//
// A [Conn] reads frames, each with the port it came in by, and writes answers, each out of its own port,
// in batches. There are three: [Bridge] for the members of bridges, [TAP] for a device of the fabric's own
// and [Interface] for a segment that an interface leads to.
//
// The package carries frames. It does not look into them (but to put a VLAN tag back where the kernel took
// it off), does not decide, and does not keep a frame from going elsewhere as well: that is package guard.
package wire
