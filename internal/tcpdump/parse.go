package tcpdump

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// Examples are lines that Parse accepts, one of each kind that users write by hand.
var Examples = []string{
	"who-has 10.239.0.102 tell 10.239.0.101",
	"who-has 10.239.0.102 tell 0.0.0.0 from 02:00:06:de:54:a8",
	"reply 10.239.0.102 is-at 02:00:07:de:54:a8",
	"ip 10.239.0.101 > 10.239.0.102",
}

// Parse parses a line of tcpdump -n, also with its time, with -e or -v, or of the interface "any". The MACs of the
// Ethernet header may follow: "who-has 10.239.0.102 tell 10.239.0.101 from 02:00:06:de:54:a8 to ff:ff:ff:ff:ff:ff". Words
// may be in lower case; "ARP", "Request" and the length may be omitted.
func Parse(line string) (*Packet, error) {
	s := &scanner{words: strings.Fields(line)}
	p := s.packet()
	if s.err == nil && len(s.words) > 0 {
		s.fail("the end, from MAC or to MAC")
	}
	if s.err != nil {
		return nil, s.err
	}
	return p, nil
}

func (s *scanner) packet() *Packet {
	p := &Packet{}
	s.skipTime()
	p.Left = s.direction()
	h := s.header()
	for s.accept("vlan") {
		h.tags = append(h.tags, s.tag(uint16(ethernet.EtherTypeVLAN)))
	}
	p.tags = h.tags
	s.payload(p, &h)
	// The Ethernet header of tcpdump -e replaces the source that the ARP packet set; MACs at the end replace both.
	if h.from != nil {
		p.From, p.To = h.from, h.to
	}
	s.trailingMACs(p)
	return p
}

// payload parses the description of the bytes after the Ethernet header.
func (s *scanner) payload(p *Packet, h *header) {
	switch {
	case s.accept("malformed"):
		s.err = errors.New("cannot make a malformed frame from its description; write it in hexadecimal")
	case s.accept("IP") || h.kind == ethernet.EtherTypeIPv4:
		s.ipv4(p)
	case s.accept("IP6") || h.kind == ethernet.EtherTypeIPv6:
		s.ipv6(p)
	case s.accept("ethertype"):
		p.kind = ethernet.EtherType(s.etherType())
		p.body = make([]byte, s.length(0))
	case h.is8023:
		p.kind, p.body = ethernet.EtherType(min(h.length, 1500)), make([]byte, h.length)
		s.skipDescription()
	case s.accept("LLC"):
		p.body = make([]byte, s.length(0))
		p.kind = ethernet.EtherType(min(len(p.body), 1500)) // IEEE 802.3: a length in the place of the EtherType
	case h.kind == 0 || h.kind == ethernet.EtherTypeARP || h.kind == etherTypeRARP:
		s.arp(p)
		p.kind = cmp.Or(h.kind, p.kind)
	default:
		p.kind, p.body = h.kind, make([]byte, h.bodyLen())
		s.skipDescription()
	}
}

// trailingMACs parses the MACs of the Ethernet header at the end of the line, if there are any.
func (s *scanner) trailingMACs(p *Packet) {
	for s.err == nil {
		switch {
		case s.accept("from"):
			p.From = new(s.mac())
		case s.accept("to"):
			p.To = new(s.mac())
		default:
			return
		}
	}
}

// The operations other than request and reply (RFC 903, RFC 2390).
const (
	reverseRequest arp.Operation = 3
	reverseReply   arp.Operation = 4
	inverseRequest arp.Operation = 8
	inverseReply   arp.Operation = 9
)

func (s *scanner) arp(p *Packet) {
	s.accept("ARP")
	if s.accept("Ethernet") { // tcpdump -v: "Ethernet (len 6), IPv4 (len 4),"
		for _, word := range []string{"(len", "6)", "IPv4", "(len", "4)"} {
			s.expect(word)
		}
	}
	switch {
	case s.accept("Reply"):
		p.startARP(arp.OperationReply)
		p.setSenderIP(s.addr())
		s.expect("is-at")
		p.setSenderMAC(s.mac())
	case s.accept("Reverse"):
		s.reverse(p)
	case s.accept("Inverse"):
		s.inverse(p)
	case s.accept("Unknown"):
		s.unknown(p)
	default:
		s.request(p)
	}
	s.padding(p)
}

// padding parses the length of an ARP packet, and adds the padding.
func (s *scanner) padding(p *Packet) {
	length := s.length(arpLen)
	switch {
	case s.err != nil:
	case length < arpLen:
		s.err = fmt.Errorf("an ARP packet has at least %d bytes, not %d; write a truncated one in hexadecimal",
			arpLen, length)
	default:
		p.body = append(p.body, make([]byte, length-arpLen)...)
	}
}

func (s *scanner) request(p *Packet) {
	s.accept("Request")
	s.expect("who-has")
	p.startARP(arp.OperationRequest)
	p.setTargetIP(s.addr())
	if s.openParentheses() {
		p.setTargetMAC(s.mac())
	}
	s.expect("tell")
	p.setSenderIP(s.addr())
}

func (s *scanner) unknown(p *Packet) {
	if !s.openParentheses() {
		s.fail("the operation's number in parentheses")
	}
	p.startARP(arp.Operation(s.number(0xffff)))
}

func (s *scanner) reverse(p *Packet) {
	if s.accept("Reply") {
		p.startARP(reverseReply)
		p.setTargetMAC(s.mac())
		s.expect("at")
		p.setTargetIP(s.addr())
		return
	}
	p.startARP(reverseRequest)
	s.whoIs(p)
}

func (s *scanner) inverse(p *Packet) {
	if s.accept("Reply") {
		p.startARP(inverseReply)
		p.setSenderMAC(s.mac())
		s.expect("at")
		p.setSenderIP(s.addr())
		return
	}
	p.startARP(inverseRequest)
	s.whoIs(p)
}

func (s *scanner) whoIs(p *Packet) {
	s.expect("Request")
	s.expect("who-is")
	p.setTargetMAC(s.mac())
	s.expect("tell")
	p.setSenderMAC(s.mac())
}

func (s *scanner) ipv6(p *Packet) {
	s.skipParentheses()
	src := s.ipv6Addr()
	s.expect(">")
	isDescribed := strings.HasSuffix(s.peek(), ":") && !strings.HasSuffix(s.peek(), "::")
	dst := s.ipv6Addr()
	if isDescribed {
		s.skipToLength()
	}
	length := s.length(0)
	if isDescribed {
		s.skipDescription()
	}
	if s.err == nil {
		p.kind, p.body = ethernet.EtherTypeIPv6, ipv6(src, dst, length)
	}
}

// length parses the length at the end of a line. It returns byDefault if there is none.
func (s *scanner) length(byDefault int) int {
	if s.accept("length") {
		return s.number(0xffff)
	}
	return byDefault
}
