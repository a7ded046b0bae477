// Package imports reads who has which address out of what other programs keep: ethers(5), dnsmasq's
// configuration and leases, Kea's, libvirt's networks, Docker's, and the kernel's neighbour table. It
// writes it down as a configuration, or as the lines of a registry file.
//
// What can't be taken is left out and named, with its file and line, and never guessed. So is an address
// that has two owners: neither gets it.
//
// The package reads files alone. It resolves no names, follows no file that another one includes, and does
// not ask libvirt, Docker or the kernel.
package imports
