package link

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// MAC is a 48-bit Ethernet address.
type MAC [6]byte

// FDBEntry is an entry of a bridge's forwarding database: the member of the bridge behind which a MAC is.
type FDBEntry struct {
	MAC    MAC
	VLAN   uint16 // 0 unless the bridge filters VLANs
	Port   int    // ifindex of the member
	Bridge int    // ifindex of the bridge

	IsLocal    bool // the MAC is the bridge's or a member's own
	IsStatic   bool // it does not age
	IsExternal bool // a program has learned it (extern_learn in bridge(8)): it does not age, and a frame moves it
	IsSticky   bool // no frame moves it
}

// ReadFDB returns the entries of all bridges.
func ReadFDB() ([]FDBEntry, error) {
	list, err := netlink.NeighList(0, unix.AF_BRIDGE)
	for errors.Is(err, netlink.ErrDumpInterrupted) { // an entry changed during the dump
		list, err = netlink.NeighList(0, unix.AF_BRIDGE)
	}
	if err != nil {
		return nil, fmt.Errorf("listing the FDB over netlink: %w", err)
	}
	var entries []FDBEntry
	for i := range list {
		if e, ok := fdbEntry(&list[i]); ok {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// ParseFDBEntry returns the entry in a message RTM_NEWNEIGH or RTM_DELNEIGH. It returns false if the message is not about
// a bridge's FDB.
func ParseFDBEntry(message []byte) (FDBEntry, bool) {
	if len(message) < unix.SizeofNdMsg || message[0] != unix.AF_BRIDGE {
		return FDBEntry{}, false
	}
	n, err := netlink.NeighDeserialize(message)
	if err != nil {
		return FDBEntry{}, false
	}
	return fdbEntry(n)
}

// fdbEntry returns false if n is in the FDB of a device itself, such as a VXLAN device's.
func fdbEntry(n *netlink.Neigh) (FDBEntry, bool) {
	if n.MasterIndex == 0 || len(n.HardwareAddr) != len(MAC{}) {
		return FDBEntry{}, false
	}
	return FDBEntry{
		MAC: MAC(n.HardwareAddr), VLAN: uint16(n.Vlan), Port: n.LinkIndex, Bridge: n.MasterIndex,
		IsLocal: n.State&unix.NUD_PERMANENT != 0, IsStatic: n.State&unix.NUD_NOARP != 0,
		IsExternal: n.Flags&unix.NTF_EXT_LEARNED != 0, IsSticky: n.Flags&ntfSticky != 0,
	}, true
}

// ntfSticky is NTF_STICKY (linux/neighbour.h).
const ntfSticky = 1 << 6

// WriteFDB writes an entry as one that a program has learned, in the place of old, the one for its MAC and VLAN; the zero
// FDBEntry means that there is none. If e.IsSticky is true, the entry is static and sticky, too.
func WriteFDB(e, old FDBEntry) error {
	// The kernel ignores state and stickiness in a message that says extern_learn, and keeps extern_learn when another
	// message changes these.
	err := netlink.NeighSet(neighOf(e, unix.NTF_EXT_LEARNED, unix.NUD_REACHABLE))
	switch {
	case err != nil:
	case e.IsSticky:
		err = netlink.NeighSet(neighOf(e, ntfSticky, unix.NUD_NOARP))
	case old.IsSticky || old.IsStatic:
		err = netlink.NeighSet(neighOf(e, 0, unix.NUD_REACHABLE))
	}
	if err != nil {
		return fmt.Errorf("writing the FDB entry of %s: %w", e.name(), err)
	}
	return nil
}

// DeleteFDB deletes an entry. It is no error if it is not there.
func DeleteFDB(e FDBEntry) error {
	if err := netlink.NeighDel(neighOf(e, 0, unix.NUD_REACHABLE)); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("deleting the FDB entry of %s: %w", e.name(), err)
	}
	return nil
}

// ReleaseFDB makes an entry as one that the bridge has learned itself: it ages, and a frame moves it. If the port is down,
// ReleaseFDB deletes the entry.
func ReleaseFDB(e FDBEntry) error {
	// Nothing but deleting the entry takes extern_learn away.
	if err := DeleteFDB(e); err != nil {
		return err
	}
	err := netlink.NeighSet(neighOf(e, 0, unix.NUD_REACHABLE))
	if err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("writing the FDB entry of %s: %w", e.name(), err)
	}
	return nil
}

func (e FDBEntry) name() string { return net.HardwareAddr(e.MAC[:]).String() }

func neighOf(e FDBEntry, flags, state int) *netlink.Neigh {
	return &netlink.Neigh{
		Family: unix.AF_BRIDGE, LinkIndex: e.Port, HardwareAddr: e.MAC[:], Vlan: int(e.VLAN),
		Flags: unix.NTF_MASTER | flags, State: state,
	}
}
