// Package lab builds temporary networks: a bridge, and guests in network namespaces of their own on veth pairs. The
// demo and the tests run in such networks.
//
// [Enter] first moves the program into new namespaces. So the program cannot touch the machine's own network, and the
// kernel removes the lab when the program ends, even if it is killed. An ordinary user can do this too if the kernel
// lets users make user namespaces.
//
// The package imports nothing of the fabric except package wire, to capture frames.
package lab
