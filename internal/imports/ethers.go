package imports

import "strings"

// readEthers reads ethers(5): a MAC and a host a line. The host may be a name there, which can't be taken.
func (s *source) readEthers() {
	for number, line := range s.lines() {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) != 2 {
			s.leave(number, "", "want a MAC and an IPv4 address, as in 02:00:06:de:54:a8 10.239.0.101")
			continue
		}
		s.take(number, words[1], words[0], "")
	}
}
