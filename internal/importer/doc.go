// Package importer converts other programs' records of addresses and MACs into a registry. It reads ethers(5), the
// configuration and leases of DHCP servers, the networks and guests of hypervisors, the kernel's neighbour table and CSV,
// and writes a configuration or the lines of a registry file. format.go lists the formats; each has a file of its own.
//
// The package never guesses. It leaves out an entry that it can't convert, and an address with two owners, and reports
// the file and line of each.
//
// It only reads files and folders of files. It does not resolve names, follow included files, or ask libvirt, Docker or the kernel.
package importer
