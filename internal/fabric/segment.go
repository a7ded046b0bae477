package fabric

import (
	"encoding/binary"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/mdlayher/ethernet"
)

// A segment is how far a bridge floods a broadcast: through the whole bridge, or through one VLAN of it. What is outside
// of a sidecar's interface is one, too.
type segment struct {
	bridge  string
	vlan    uint16 // 0 for the whole bridge
	sidecar string
}

func (n *network) segment() segment {
	a := n.config().Attach
	return segment{a.Bridge, a.VLAN, a.Sidecar}
}

// host returns the interface that the host's own stack has in the segment, if it has one: the bridge, or, in a VLAN,
// maybe a device on top of it.
func (s segment) host(from link.Snapshot) (link.Link, bool) {
	if s.vlan != 0 {
		return from.HostIn(s.bridge, s.vlan)
	}
	return from.Find(s.bridge)
}

// ofHost returns the segment that a frame of the host's was sent into, on its way out of a port whose guest is in
// s. The bridge has left the tag in the frame where the port gets other VLANs beside its own, tagged.
func (s segment) ofHost(frame []byte) segment {
	if s.vlan != 0 && isTagged(frame) {
		s.vlan = vlanOf(frame)
	}
	return s
}

// vlanOf returns the VLAN ID in the tag of a frame; 0 where it has none.
func vlanOf(frame []byte) uint16 {
	const mask = 0x0fff // IEEE 802.1Q, 9.6
	if !isTagged(frame) {
		return 0
	}
	return binary.BigEndian.Uint16(frame[ethernetHeaderLen:]) & mask
}

const (
	ethernetHeaderLen = 14
	tagLen            = 4 // IEEE 802.1Q: TPID 2, TCI 2
)

// isTagged reports whether frame has a VLAN tag.
func isTagged(frame []byte) bool {
	if len(frame) < ethernetHeaderLen+tagLen {
		return false
	}
	kind := ethernet.EtherType(binary.BigEndian.Uint16(frame[ethernetHeaderLen-2:]))
	return kind == ethernet.EtherTypeVLAN || kind == ethernet.EtherTypeServiceVLAN
}
