package imports

import (
	"strconv"
	"strings"
	"time"
)

// readDnsmasqLeases reads dnsmasq's leases: when the lease ends, in seconds since 1970 or 0 for never, the MAC,
// the address, the name or '*', and the client's id. After a line with the server's DUID follow those of
// DHCPv6, with another number in the MAC's place.
func (s *source) readDnsmasqLeases() {
	for number, line := range s.lines() {
		words := strings.Fields(line)
		switch {
		case words[0] == "duid":
		case len(words) < 4 || !isNumber(words[0]):
			s.leave(number, "", "want when the lease ends, a MAC, an address and a name, as in "+
				"1767225600 02:00:06:de:54:a8 10.239.0.101 web *")
		case s.isOver(words[0]):
			s.passOver(number, describe(words[2], words[3]), "the lease has ended")
		default:
			s.takeLease(number, words[2], words[1], words[3])
		}
	}
}

// isOver reports whether a lease has ended that lasts until a number of seconds since 1970, or for ever if
// that is 0.
func (s *source) isOver(until string) bool {
	seconds, err := strconv.ParseInt(until, 10, 64)
	return err == nil && seconds != 0 && !time.Unix(seconds, 0).After(s.now)
}
