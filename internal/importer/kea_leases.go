package importer

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// keaLeasesHeader is the beginning of the first line of kea-leases4.csv. The file of DHCPv6 begins differently.
const keaLeasesHeader = "address,hwaddr,"

// A keaLease is a line of kea-leases4.csv. Its values are keyed by column, and nil if the line is malformed.
type keaLease struct {
	line   int
	values map[string]string
}

// readKeaLeasesFile reads kea-leases4.csv. Kea appends to it, so the last line for an address counts. encoding/csv can't
// read it: Kea never quotes a value (it writes a comma as &#x2c), so a quote in a guest's name is an ordinary
// character.
func (s *source) readKeaLeasesFile() {
	var columns []string
	s.keaLeases = map[string]keaLease{}
	for number, line := range s.lines() {
		values := strings.Split(line, ",")
		switch {
		case strings.HasPrefix(line, keaLeasesHeader):
			columns = values
		case columns == nil:
			s.leaveOut(number, "", "want a first line that names the columns, beginning with %s", keaLeasesHeader)
			return
		case len(values) < len(columns):
			s.leaveOut(number, describe(values[0]), "there are %d values for %d columns", len(values), len(columns))
			s.keaLeases[values[0]] = keaLease{line: number}
		default:
			s.keaLeases[values[0]] = keaLease{number, byColumn(columns, values)}
		}
	}
}

func byColumn(columns, values []string) map[string]string {
	lease := make(map[string]string, len(columns))
	for i, column := range columns {
		lease[column] = values[i]
	}
	return lease
}

// addKeaLeases adds the leases of all files together. Kea moves its file away now and then and begins a new one, so the
// last file with an address counts, even if the lease has expired there.
func addKeaLeases(files []*source) {
	known := map[string]bool{}
	isKnown := func(address string, _ keaLease) bool { return known[address] }
	for _, s := range slices.Backward(files) {
		maps.DeleteFunc(s.keaLeases, isKnown)
		for _, lease := range slices.SortedFunc(maps.Values(s.keaLeases), byLine) {
			s.addKeaLease(lease.line, lease.values)
		}
		for address := range s.keaLeases {
			known[address] = true
		}
	}
}

func byLine(a, b keaLease) int { return cmp.Compare(a.line, b.line) }

// keaInfinite is the valid_lifetime of a lease that does not end.
const keaInfinite = "4294967295"

func (s *source) addKeaLease(line int, lease map[string]string) {
	what := describe(lease["address"], lease["hostname"])
	switch {
	case lease == nil: // a malformed line, reported already
	case lease["state"] == "1":
		s.ignore(line, what, "the client declined the address: another host used it")
	case lease["state"] != "" && lease["state"] != "0":
		s.ignore(line, what, "the lease is not in use (state %s)", printable(lease["state"]))
	case lease["valid_lifetime"] == "0":
		s.ignore(line, what, "the client released the lease")
	case !isNumber(lease["valid_lifetime"]) || !isNumber(lease["expire"]):
		s.leaveOut(line, what, "the lease has no valid expiry time")
	case lease["valid_lifetime"] != keaInfinite && s.hasExpired(lease["expire"]):
		s.ignore(line, what, "the lease has expired")
	default:
		s.lasting(keaEnd(lease), func() { s.addHost(line, lease["address"], lease["hwaddr"], lease["hostname"]) })
	}
}

// keaEnd returns when a lease ends, or the zero Time if it never does.
func keaEnd(lease map[string]string) time.Time {
	if lease["valid_lifetime"] == keaInfinite {
		return time.Time{}
	}
	return endOf(lease["expire"])
}

// reportOlderKeaLeases reports files with older leases that were not read before this one. Without them, hosts would be
// missing, or would have a former owner.
func (s *source) reportOlderKeaLeases(before []*source) {
	if s.keaLeases == nil {
		return
	}
	for _, path := range olderKeaLeases(s.path) {
		if file, err := os.Stat(path); err == nil && !isAmong(file, before) {
			s.leaveOut(0, "", "Kea moved older leases to %s; import that file too, before this one", displayName(path))
		}
	}
}

// olderKeaLeases returns the names of the files with older leases than the given one. kea-lfc(8) merges them into .2;
// while it runs, newer leases are in .1, and .completed has both.
func olderKeaLeases(path string) []string {
	if current, ok := strings.CutSuffix(path, ".1"); ok {
		return []string{current + ".2"}
	}
	return []string{path + ".2", path + ".1", path + ".completed"}
}

// keaAge splits a name into that of the current file, and a number that is greater for older leases.
func keaAge(name string) (current string, age int) {
	for age, ending := range []string{".completed", ".1", ".2"} {
		if current, ok := strings.CutSuffix(name, ending); ok {
			return current, age + 1
		}
	}
	return name, 0
}

func isAmong(file os.FileInfo, sources []*source) bool {
	return slices.ContainsFunc(sources, func(s *source) bool {
		other, err := os.Stat(s.path)
		return err == nil && os.SameFile(file, other)
	})
}
