package wire

import "golang.org/x/sys/unix"

// OpenInterface opens the Conn for a segment that an interface leads to: a packet socket that reads ARP,
// and ARP alone, as it arrives there. The kernel keeps handling the same frames as before.
func OpenInterface(ifindex int) (*Packet, error) {
	return OpenPacket(ifindex, unix.ETH_P_ARP)
}
