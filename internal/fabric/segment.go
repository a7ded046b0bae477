package fabric

import (
	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
)

// A segment is a broadcast domain: a bridge, or one VLAN of it. The network that a sidecar's interface leads to is a
// segment, too.
type segment struct {
	bridge  string
	vlan    uint16 // 0 for the whole bridge
	sidecar string // the sidecar's interface; "" for a bridge
}

func (n *network) segment() segment {
	a := n.config().Attach
	if a.Kind == config.AttachSidecar {
		return segment{sidecar: a.Device}
	}
	return segment{bridge: a.Bridge, vlan: a.VLAN}
}

// ofHost returns the segment of a frame of the host that leaves by a guest port of the segment s. It is another one if
// the frame is tagged: the port may be a tagged member of other VLANs.
func (s segment) ofHost(frame []byte) segment {
	if header, ok := responder.ParseHeader(frame); ok && s.vlan != 0 && header.IsTagged() {
		s.vlan = header.VLAN()
	}
	return s
}
