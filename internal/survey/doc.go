// Package survey makes a first configuration for a bridge from what the machine knows about it: its members, the host's own
// addresses and default route, the MACs in its forwarding database, the host's neighbours, and DHCP leases. Each line of the
// configuration says where it is from.
//
// It only reads, and sends nothing. So it finds only guests that have spoken, and believes every guest: an operator has to
// read the configuration.
package survey
