package tcpdump

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/arpfabric/arpfabric/responder"
)

// A scanner reads a line word by word. After an error it reads nothing more.
type scanner struct {
	words []string
	err   error
}

// fail notes that something else was wanted than the next word.
func (s *scanner) fail(want string) {
	if s.err != nil {
		return
	}
	found := "the end"
	if len(s.words) > 0 {
		found = strconv.Quote(s.words[0])
	}
	s.err = fmt.Errorf("want %s, not %s; write, for example, %q", want, found, Examples[0])
}

// next returns the next word, without the comma behind it, and leaves it there; nothing at the end.
func (s *scanner) next() string {
	if s.err != nil || len(s.words) == 0 {
		return ""
	}
	return strings.TrimSuffix(s.words[0], ",")
}

// accept takes the next word if it is word.
func (s *scanner) accept(word string) bool {
	if !strings.EqualFold(s.next(), word) {
		return false
	}
	s.words = s.words[1:]
	return true
}

func (s *scanner) expect(word string) {
	if !s.accept(word) {
		s.fail(word)
	}
}

// take takes the next word if read can make something of it. want says what it should be.
func take[T any](s *scanner, want string, read func(string) (T, error)) T {
	result, err := read(s.next())
	if err != nil {
		s.fail(want)
	}
	if s.err != nil {
		var nothing T
		return nothing
	}
	s.words = s.words[1:]
	return result
}

func (s *scanner) mac() responder.MAC {
	return take(s, "a MAC, such as 02:00:06:de:54:a8", responder.ParseMAC)
}

func (s *scanner) addr() netip.Addr { return take(s, "an IPv4 address", parseIPv4) }

func (s *scanner) ipv6Addr() netip.Addr {
	return take(s, "an IPv6 address", func(word string) (netip.Addr, error) {
		addr, err := netip.ParseAddr(word)
		if err == nil && (!addr.Is6() || addr.Zone() != "") {
			err = fmt.Errorf("%s is not an IPv6 address without a zone", word)
		}
		return addr, err
	})
}

// number reads a number from 0 to most, with or without a colon behind it.
func (s *scanner) number(most int) int {
	return take(s, fmt.Sprintf("a number from 0 to %d", most), func(word string) (int, error) {
		n, err := strconv.ParseUint(strings.TrimSuffix(word, ":"), 10, 16)
		if err == nil && int(n) > most {
			err = strconv.ErrRange
		}
		return int(n), err
	})
}

func (s *scanner) etherType() uint64 {
	return take(s, "an EtherType, such as 0x88cc", func(word string) (uint64, error) {
		return strconv.ParseUint(strings.TrimPrefix(word, "0x"), 16, 16)
	})
}

// An endpoint is an IPv4 address with a port or without: 10.239.0.101.68.
type endpoint struct {
	addr    netip.Addr
	port    uint16
	hasPort bool
}

func (s *scanner) endpoint() endpoint {
	return take(s, "an IPv4 address, with or without a port", parseEndpoint)
}

// openParentheses takes the parentheses off the next word, and reports whether it had them.
func (s *scanner) openParentheses() bool {
	word := s.next()
	inside, opened := strings.CutPrefix(word, "(")
	inside, closed := strings.CutSuffix(inside, ")")
	if opened && closed {
		s.words[0] = inside
	}
	return opened && closed
}

var timestamp = regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d+$`)

// skipTime skips the time that tcpdump writes before each line.
func (s *scanner) skipTime() {
	if timestamp.MatchString(s.next()) {
		s.words = s.words[1:]
	}
}

func parseIPv4(word string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(word)
	if err == nil && !addr.Is4() {
		err = fmt.Errorf("%s is not an IPv4 address", word)
	}
	return addr, err
}

// parseEndpoint reads the port as tcpdump writes it: as a fifth number. The second address has a colon behind it.
func parseEndpoint(word string) (e endpoint, err error) {
	word = strings.TrimSuffix(word, ":")
	if last := strings.LastIndexByte(word, '.'); strings.Count(word, ".") == 4 {
		port, err := strconv.ParseUint(word[last+1:], 10, 16)
		if err != nil {
			return e, err
		}
		e.port, e.hasPort, word = uint16(port), true, word[:last]
	}
	e.addr, err = parseIPv4(word)
	return e, err
}
