package tcpdump

import (
	"errors"
	"fmt"
	"strings"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// Examples are lines that Parse reads, one of each kind that people write by hand.
var Examples = []string{
	"who-has 10.239.0.102 tell 10.239.0.101",
	"who-has 10.239.0.102 tell 0.0.0.0 from 02:00:06:de:54:a8",
	"reply 10.239.0.102 is-at 02:00:07:de:54:a8",
	"ip 10.239.0.101 > 10.239.0.102",
}

// Parse reads a line of tcpdump's, with or without the time before it, and the MACs of the Ethernet header behind it
// where they matter: "who-has 10.239.0.102 tell 10.239.0.101 from 02:00:06:de:54:a8 to ff:ff:ff:ff:ff:ff". Of ARP without
// a tag it also reads what tcpdump -e prints. Words may be in lower case; "ARP", "Request", and the length may be left out.
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
	from, to := s.header()
	for s.accept("vlan") {
		p.tags = append(p.tags, uint16(s.number(0xfff)))
	}
	switch {
	case s.accept("malformed"):
		s.err = errors.New("a malformed frame can't be made of words; write it in hexadecimal")
	case s.accept("IP"):
		s.ipv4(p)
	case s.accept("IP6"):
		s.ipv6(p)
	case s.accept("ethertype"):
		p.kind = ethernet.EtherType(s.etherType())
		p.body = make([]byte, s.length(0))
	case s.accept("LLC"):
		p.body = make([]byte, s.length(0))
		p.kind = ethernet.EtherType(min(len(p.body), 1500)) // IEEE 802.3: a length, where Ethernet II has its type
	default:
		s.arp(p)
	}
	if from != nil {
		p.From, p.To = from, to
	}
	s.ends(p)
	return p
}

// header reads the Ethernet header that tcpdump -e writes before a line, where it is there.
func (s *scanner) header() (from, to *responder.MAC) {
	if _, err := responder.ParseMAC(s.next()); err != nil {
		return nil, nil
	}
	from = new(s.mac())
	s.expect(">")
	to = new(s.mac())
	for _, word := range []string{"ethertype", "ARP", "(0x0806)", "length"} {
		s.expect(word)
	}
	s.number(0xffff)
	return from, to
}

// ends reads what may follow the line: the MACs of the Ethernet header.
func (s *scanner) ends(p *Packet) {
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

// The operations beside request and reply (RFC 903, RFC 2390).
const (
	reverseRequest arp.Operation = 3
	reverseReply   arp.Operation = 4
	inverseRequest arp.Operation = 8
	inverseReply   arp.Operation = 9
)

func (s *scanner) arp(p *Packet) {
	s.accept("ARP")
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

// padding reads the length of an ARP packet with what is behind it.
func (s *scanner) padding(p *Packet) {
	length := s.length(arpLen)
	switch {
	case s.err != nil:
	case length < arpLen:
		s.err = fmt.Errorf("an ARP packet has %d bytes at least, not %d; write one that is cut in hexadecimal",
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

func (s *scanner) ipv4(p *Packet) {
	src := s.endpoint()
	s.expect(">")
	dst := s.endpoint()
	d := datagram{src: src, dst: dst, protocol: protocolICMP, length: pingLen}
	if src.hasPort {
		d.protocol, d.length = protocolUDP, 0
	}
	s.protocol(&d)
	d.length = s.length(d.length)
	if s.err == nil {
		s.err = d.check()
	}
	if s.err == nil {
		p.kind, p.Sender, p.Target, p.body = ethernet.EtherTypeIPv4, src.addr, dst.addr, d.bytes()
	}
}

// protocol reads the protocol of a datagram, where the line names one, and leaves it as it is otherwise.
func (s *scanner) protocol(d *datagram) {
	for name, number := range protocols {
		if s.accept(name) {
			d.protocol, d.length = number, 0
			return
		}
	}
	if s.accept("protocol") {
		d.protocol, d.length = uint8(s.number(0xff)), 0
	}
}

func (s *scanner) ipv6(p *Packet) {
	src := s.ipv6Addr()
	s.expect(">")
	dst := s.ipv6Addr()
	if length := s.length(0); s.err == nil {
		p.kind, p.body = ethernet.EtherTypeIPv6, ipv6(src, dst, length)
	}
}

// length reads the length at the end of a line, where there is one.
func (s *scanner) length(otherwise int) int {
	if s.accept("length") {
		return s.number(0xffff)
	}
	return otherwise
}
