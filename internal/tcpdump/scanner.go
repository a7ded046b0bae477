package tcpdump

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// A scanner reads a line word by word. After an error it stays where it is.
type scanner struct {
	words []string
	err   error
}

// fail sets the error, which says what was expected in the place of the next word. It keeps an earlier error.
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

// peek returns the next word without its comma, or "" at the end or after an error.
func (s *scanner) peek() string {
	if s.err != nil || len(s.words) == 0 {
		return ""
	}
	return strings.TrimSuffix(s.words[0], ",")
}

// accept skips the next word if it is word, and reports whether it did.
func (s *scanner) accept(word string) bool {
	if !strings.EqualFold(s.peek(), word) {
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

// parse parses the next word and skips it. want describes it in the error.
func parse[T any](s *scanner, want string, parseWord func(string) (T, error)) T {
	result, err := parseWord(s.peek())
	if err != nil {
		s.fail(want)
	}
	if s.err != nil {
		var zero T
		return zero
	}
	s.words = s.words[1:]
	return result
}

func (s *scanner) mac() registry.MAC {
	return parse(s, "a MAC, such as 02:00:06:de:54:a8", registry.ParseMAC)
}

func (s *scanner) addr() netip.Addr { return parse(s, "an IPv4 address", parseIPv4) }

func (s *scanner) ipv6Addr() netip.Addr {
	return parse(s, "an IPv6 address", func(word string) (netip.Addr, error) {
		addr, err := netip.ParseAddr(word)
		if err != nil { // with a port, and with the colon before the description
			word, _, _ = strings.Cut(strings.TrimSuffix(word, ":"), ".")
			addr, err = netip.ParseAddr(word)
		}
		if err == nil && (!addr.Is6() || addr.Zone() != "") {
			err = fmt.Errorf("%s is not an IPv6 address without a zone", word)
		}
		return addr, err
	})
}

// number parses a number from 0 to most, with or without a colon after it.
func (s *scanner) number(most int) int {
	return parse(s, fmt.Sprintf("a number from 0 to %d", most), func(word string) (int, error) {
		n, err := strconv.ParseUint(strings.TrimSuffix(word, ":"), 10, 16)
		if err == nil && int(n) > most {
			err = strconv.ErrRange
		}
		return int(n), err
	})
}

func (s *scanner) etherType() uint64 {
	return parse(s, "an EtherType, such as 0x88cc", func(word string) (uint64, error) {
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
	return parse(s, "an IPv4 address, with or without a port", parseEndpoint)
}

// openParentheses removes the parentheses from the next word, and reports whether it had them.
func (s *scanner) openParentheses() bool {
	word := s.peek()
	inside, opened := strings.CutPrefix(word, "(")
	inside, closed := strings.CutSuffix(inside, ")")
	if opened && closed {
		s.words[0] = inside
	}
	return opened && closed
}

func parseIPv4(word string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(word)
	if err == nil && !addr.Is4() {
		err = fmt.Errorf("%s is not an IPv4 address", word)
	}
	return addr, err
}

// parseEndpoint parses an address with tcpdump's notation for a port: a fifth number. A colon may follow.
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
