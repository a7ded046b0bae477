package tcpdump

import (
	"regexp"
	"strings"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/ethernet"
)

// ipv4 parses an IPv4 packet: its addresses, and as much as matters of the description that follows.
func (s *scanner) ipv4(p *Packet) {
	s.skipParentheses()
	src := s.endpoint()
	s.expect(">")
	isDescribed := strings.HasSuffix(s.peek(), ":")
	dst := s.endpoint()
	d := datagram{src: src, dst: dst, protocol: protocolICMP, length: pingLen}
	if src.hasPort {
		d.protocol, d.length = protocolUDP, 0
	}
	if isDescribed {
		s.describedProtocol(&d)
	} else {
		s.protocol(&d)
	}
	d.length = s.length(d.length)
	if isDescribed {
		s.skipDescription()
	}
	if s.err == nil {
		s.err = d.check()
	}
	if s.err == nil {
		p.kind, p.Sender, p.Target, p.body = ethernet.EtherTypeIPv4, src.addr, dst.addr, d.bytes()
		p.setDHCPClient(&d)
	}
}

// skipParentheses skips the header that tcpdump -v prints in parentheses: "(tos 0x0, ttl 64, ..., flags [DF], proto UDP
// (17), length 57)".
func (s *scanner) skipParentheses() {
	if !strings.HasPrefix(s.peek(), "(") {
		return
	}
	for depth := 0; s.err == nil; {
		if len(s.words) == 0 {
			s.fail(")")
			return
		}
		depth += strings.Count(s.words[0], "(") - strings.Count(s.words[0], ")")
		s.words = s.words[1:]
		if depth <= 0 {
			return
		}
	}
}

// protocol parses the protocol of a datagram, if the line names one.
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

// describedProtocol parses the protocol of a datagram that tcpdump describes: "Flags [S], seq 1", "ICMP echo request",
// "BOOTP/DHCP, Request from 02:00:06:de:54:a8". It skips the words up to the length.
func (s *scanner) describedProtocol(d *datagram) {
	s.protocol(d)
	switch {
	case d.src.hasPort && s.accept("Flags"):
		d.protocol = protocolTCP
	case s.accept("BOOTP/DHCP"):
		if s.accept("Request") && s.accept("from") {
			d.client = new(s.mac())
		}
	}
	s.skipToLength()
}

// skipToLength skips the words up to the length of a packet.
func (s *scanner) skipToLength() {
	for s.err == nil && len(s.words) > 0 && !s.isLength() && !s.isTrailingMAC() {
		s.words = s.words[1:]
	}
}

var lengthWord = regexp.MustCompile(`^\d+[,:]?$`)

// isLength reports whether the next two words are a length.
func (s *scanner) isLength() bool {
	return len(s.words) > 1 && strings.EqualFold(s.words[0], "length") && lengthWord.MatchString(s.words[1])
}

// skipDescription skips the words up to the MACs at the end of the line.
func (s *scanner) skipDescription() {
	for s.err == nil && len(s.words) > 0 && !s.isTrailingMAC() {
		s.words = s.words[1:]
	}
}

// isTrailingMAC reports whether the next words are "from MAC" or "to MAC".
func (s *scanner) isTrailingMAC() bool {
	if word := strings.ToLower(s.peek()); len(s.words) < 2 || word != "from" && word != "to" {
		return false
	}
	_, err := registry.ParseMAC(strings.TrimSuffix(s.words[1], ","))
	return err == nil
}

// The ports of DHCP, and the layout of a message (RFC 2131, 2), in bytes.
const (
	dhcpClient, dhcpServer = 68, 67
	dhcpClientMACAt        = 28
	dhcpLen                = 236 // without options
)

// setDHCPClient makes a datagram that is long enough for it a DHCP client's message. The client's MAC is the one that the
// line names, which then is the Ethernet source, too, unless the line has another; or else the Ethernet source.
func (p *Packet) setDHCPClient(d *datagram) {
	isFromClient := d.protocol == protocolUDP && d.src.port == dhcpClient && d.dst.port == dhcpServer
	if !isFromClient || d.length < dhcpLen {
		return
	}
	message := p.body[ipv4HeaderLen+udpHeaderLen:]
	message[0], message[1], message[2] = 1, 1, byte(len(registry.MAC{})) // BOOTREQUEST, Ethernet
	p.fromGuest, p.guestMACAt = true, ipv4HeaderLen+udpHeaderLen+dhcpClientMACAt
	if d.client != nil {
		p.From, p.fromGuest = d.client, false
		copy(p.body[p.guestMACAt:], d.client[:])
	}
}
