package responder

import (
	"encoding/binary"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/ethernet"
)

const (
	headerLen = 14 // Ethernet II: destination 6, source 6, EtherType 2
	tagLen    = 4  // IEEE 802.1Q: TPID 2, TCI 2

	// MinFrameLen is the length in bytes of the shortest Ethernet frame, without its checksum. Each answer is padded to
	// it with zeros.
	MinFrameLen = 60

	// MaxReplyLen is the length in bytes of the longest answer that Decide writes: MinFrameLen and one VLAN tag.
	MaxReplyLen = MinFrameLen + tagLen
)

// EtherTypes that package ethernet does not define.
const (
	etherTypeRARP    ethernet.EtherType = 0x8035 // RFC 903
	etherTypeOldQinQ ethernet.EtherType = 0x9100 // the outer tag of switches older than 802.1ad, which uses 0x88a8
	firstEtherType   ethernet.EtherType = 0x0600 // a smaller value is the length of an 802.3 frame
)

// Header is a frame's Ethernet header and the VLAN tags that follow it.
type Header struct {
	Destination, Source registry.MAC

	// Tags is the number of VLAN tags (802.1Q or 802.1ad). TCI is the tag control information of the outermost (IEEE
	// 802.1Q, 9.6: priority 3 bits, drop eligible 1, VLAN ID 12); 0 without a tag.
	Tags int
	TCI  uint16

	// EtherType is the one after the tags. A value below 0x0600 is the length of an 802.3 frame.
	EtherType ethernet.EtherType

	// Len is the length of the header and the tags in bytes: the offset of the payload.
	Len int
}

// ParseHeader reads the header of a frame without its checksum. It returns false if the frame ends before its EtherType.
// It accepts any bytes and allocates nothing.
func ParseHeader(frame []byte) (h Header, ok bool) {
	ok = h.parse(frame)
	return h, ok
}

// parse reads the header of a frame into h, which must be zero. If it returns false, h is undefined.
func (h *Header) parse(frame []byte) bool {
	for at := headerLen; len(frame) >= at; at += tagLen {
		h.EtherType = ethernet.EtherType(binary.BigEndian.Uint16(frame[at-2:]))
		if h.EtherType != ethernet.EtherTypeVLAN && h.EtherType != ethernet.EtherTypeServiceVLAN {
			h.Destination, h.Source, h.Len = registry.MAC(frame[0:6]), registry.MAC(frame[6:12]), at
			return true
		}
		if h.Tags == 0 && len(frame) >= at+2 {
			h.TCI = binary.BigEndian.Uint16(frame[at:])
		}
		h.Tags++
	}
	return false
}

// IsTagged reports whether the frame has a VLAN tag.
func (h *Header) IsTagged() bool { return h.Tags > 0 }

// VLAN returns the VLAN ID of the outermost tag, 0 to 4095; 0 without a tag.
func (h *Header) VLAN() uint16 { return vlanID(h.TCI) }

func vlanID(tci uint16) uint16 { return tci & 0x0fff }

// carriesARP reports whether the frame carries ARP, over Ethernet II or over 802.3 with LLC and SNAP (RFC 1042). Some
// stacks accept the latter as ARP, so it must not pass as another protocol.
func (h *Header) carriesARP(body []byte) bool {
	return h.EtherType == ethernet.EtherTypeARP || h.EtherType < firstEtherType && isSNAPEncapsulatedARP(body)
}

// isSNAPEncapsulatedARP does not compare the three bytes of the OUI, because some stacks ignore them.
func isSNAPEncapsulatedARP(body []byte) bool {
	return len(body) >= 8 && body[0] == 0xaa && body[1] == 0xaa && body[2] == 0x03 &&
		binary.BigEndian.Uint16(body[6:]) == uint16(ethernet.EtherTypeARP)
}

// broadcast is the broadcast MAC.
var broadcast = registry.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
