package importer

import "strings"

// isEthersLine reports whether a line is one of ethers(5), and not one of `bridge fdb`.
func isEthersLine(_ string, words []string) bool {
	return len(words) >= 2 && isMAC(words[0]) && words[1] != "dev"
}

// readEthers reads ethers(5): a MAC and a host per line. A host that is a name is left out.
func (s *source) readEthers() {
	for number, line := range s.lines() {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) != 2 {
			s.leaveOut(number, "", "want a MAC and an IPv4 address, as in 02:00:06:de:54:a8 10.239.0.101")
			continue
		}
		s.addHost(number, words[1], words[0], "")
	}
}
