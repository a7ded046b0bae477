package tcpdump

import (
	"regexp"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/ethernet"
)

// A header is the Ethernet header that tcpdump -e prints before the description of a packet.
type header struct {
	from, to *registry.MAC      // nil if the line does not have them
	tags     []tag              // the outermost first
	kind     ethernet.EtherType // 0 if the line does not begin with it
	length   int                // of the frame; with is8023, of the bytes after the header
	is8023   bool               // IEEE 802.3, with LLC
}

// A tag is a VLAN tag (IEEE 802.1Q).
type tag struct{ protocol, control uint16 }

const etherTypeRARP ethernet.EtherType = 0x8035 // RFC 903

// bodyLen returns the length of the bytes after the header and its tags.
func (h *header) bodyLen() int { return max(0, h.length-14-4*len(h.tags)) }

var (
	date      = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
	timestamp = regexp.MustCompile(`^(\d\d:\d\d:\d\d|\d+)(\.\d+)?$`)
	direction = regexp.MustCompile(`^(In|Out|B|M|P)$`)
)

// skipTime skips the time that tcpdump writes before each line, in any of its forms.
func (s *scanner) skipTime() {
	if date.MatchString(s.peek()) {
		s.words = s.words[1:]
	}
	if timestamp.MatchString(s.peek()) {
		s.words = s.words[1:]
	}
}

// direction parses the interface and the direction that tcpdump -i any writes: "vnet1 In". With -e, "ifindex 5" follows.
// It returns the interface if the frame left by it.
func (s *scanner) direction() (left string) {
	if len(s.words) < 2 || !direction.MatchString(s.words[1]) {
		return ""
	}
	if s.words[1] == "Out" {
		left = s.words[0]
	}
	s.words = s.words[2:]
	if s.accept("ifindex") {
		s.number(0xffff)
	}
	return left
}

// header parses the Ethernet header that tcpdump -e prints, if there is one. Of the interface "any", it has no
// destination.
func (s *scanner) header() (h header) {
	if _, err := registry.ParseMAC(s.peek()); err != nil {
		return h
	}
	h.from = new(s.mac())
	if s.accept(">") {
		h.to = new(s.mac())
	}
	if s.accept("802.3") {
		h.is8023 = true
		s.frameLength(&h)
		return h
	}
	s.expect("ethertype")
	h.kind = s.namedEtherType()
	s.frameLength(&h)
	for s.err == nil && (h.kind == ethernet.EtherTypeVLAN || h.kind == ethernet.EtherTypeServiceVLAN) {
		s.expect("vlan")
		h.tags = append(h.tags, s.tag(uint16(h.kind)))
		s.expect("ethertype")
		h.kind = s.namedEtherType()
	}
	return h
}

// namedEtherType parses an EtherType with its name: "Reverse ARP (0x8035)".
func (s *scanner) namedEtherType() ethernet.EtherType {
	for s.err == nil && len(s.words) > 0 && !s.openParentheses() {
		s.words = s.words[1:]
	}
	return ethernet.EtherType(s.etherType())
}

func (s *scanner) frameLength(h *header) {
	if s.accept("length") {
		h.length = s.number(0xffff)
	}
}

// tag parses a VLAN ID, and the priority that tcpdump -e prints after it.
func (s *scanner) tag(protocol uint16) tag {
	t := tag{protocol, uint16(s.number(0xfff))}
	if s.accept("p") {
		t.control |= uint16(s.number(7)) << 13
	}
	if s.accept("DEI") {
		t.control |= 1 << 12
	}
	return t
}
