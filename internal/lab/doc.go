// Package lab builds throw-away networks: a bridge, and guests in network namespaces of their own on veth
// pairs. The demo plays in one, and the tests run in them.
//
// [Enter] moves the program into new namespaces first, so that nothing of the machine's own network can
// be touched, and so that everything is gone when the program ends, however it ends. An ordinary user may
// do that too, where the kernel lets users make user namespaces.
//
// The package does not know the fabric.
package lab
