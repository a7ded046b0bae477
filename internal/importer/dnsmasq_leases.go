package importer

import (
	"strconv"
	"strings"
	"time"
)

func isDnsmasqLease(_ string, words []string) bool {
	return words[0] == "duid" || len(words) >= 4 && isNumber(words[0]) && isAddress(words[2])
}

// readDnsmasqLeases reads dnsmasq's leases. A line has the lease's expiry in seconds since 1970 (0 for never), the MAC,
// the address, the name or '*', and the client's id. DHCPv6 leases follow a line with the server's DUID, and have
// another number in the MAC's place.
func (s *source) readDnsmasqLeases() {
	for number, line := range s.lines() {
		words := strings.Fields(line)
		switch {
		case words[0] == "duid":
		case len(words) < 4 || !isNumber(words[0]):
			s.leaveOut(number, "", "want an expiry time, a MAC, an address and a name, as in "+
				"1767225600 02:00:06:de:54:a8 10.239.0.101 web *")
		case s.hasExpired(words[0]):
			s.ignore(number, describe(words[2], words[3]), "the lease has expired")
		default:
			s.lasting(endOf(words[0]), func() { s.addDnsmasqHost(number, words[2], words[1], words[3]) })
		}
	}
}

// hasExpired reports whether a lease has expired. It lasts until a number of seconds since 1970, or forever if that is
// 0.
func (s *source) hasExpired(until string) bool {
	end := endOf(until)
	return !end.IsZero() && !end.After(s.now)
}

// endOf returns the time that is a number of seconds after 1970, or the zero Time for 0 and for what is no number.
func endOf(seconds string) time.Time {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || n == 0 {
		return time.Time{}
	}
	return time.Unix(n, 0)
}
