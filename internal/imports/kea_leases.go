package imports

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"
)

// keaLeasesHeader is how the first line of kea-leases4.csv begins. That of DHCPv6 has a duid.
const keaLeasesHeader = "address,hwaddr,"

// A keaLease is a line of kea-leases4.csv, by the names of its columns. One that can't be read has none.
type keaLease struct {
	line   int
	values map[string]string
}

// readKeaLeases reads kea-leases4.csv. Kea appends to it, so the last line for an address counts. It never
// puts quotes around a value (a comma in one is written as &#x2c), so a quote, which a guest may have put into its
// name, is a character as any other; encoding/csv would read on to the next one.
func (s *source) readKeaLeases() {
	var columns []string
	s.keaLeases = map[string]keaLease{}
	for number, line := range s.lines() {
		values := strings.Split(line, ",")
		switch {
		case strings.HasPrefix(line, keaLeasesHeader):
			columns = values
		case columns == nil:
			s.leave(number, "", "want a line with the columns' names first, which begins with %s", keaLeasesHeader)
			return
		case len(values) < len(columns):
			s.leave(number, describe(values[0]), "there are %d values for %d columns", len(values), len(columns))
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

// takeKeaLeases takes the leases of all files together. Kea moves its file away now and then and begins another, so
// what a later file says of an address counts, also that its lease is over.
func takeKeaLeases(files []*source) {
	known := map[string]bool{}
	isKnown := func(address string, _ keaLease) bool { return known[address] }
	for i, s := range slices.Backward(files) {
		s.missOlderKeaLeases(files[:i])
		maps.DeleteFunc(s.keaLeases, isKnown)
		for _, lease := range slices.SortedFunc(maps.Values(s.keaLeases), byLine) {
			s.takeKeaLease(lease.line, lease.values)
		}
		for address := range s.keaLeases {
			known[address] = true
		}
	}
}

func byLine(a, b keaLease) int { return cmp.Compare(a.line, b.line) }

// keaForever is the valid_lifetime of a lease that does not end.
const keaForever = "4294967295"

func (s *source) takeKeaLease(line int, lease map[string]string) {
	what := describe(lease["address"], lease["hostname"])
	switch {
	case lease == nil: // what is wrong with it is said already
	case lease["state"] == "1":
		s.passOver(line, what, "the address was declined: somebody else had it")
	case lease["state"] != "" && lease["state"] != "0":
		s.passOver(line, what, "the lease is not in use (state %s)", printable(lease["state"]))
	case lease["valid_lifetime"] == "0":
		s.passOver(line, what, "the lease was given back")
	case !isNumber(lease["valid_lifetime"]) || !isNumber(lease["expire"]):
		s.leave(line, what, "it does not say until when the lease is valid")
	case lease["valid_lifetime"] != keaForever && s.isOver(lease["expire"]):
		s.passOver(line, what, "the lease has ended")
	default:
		s.take(line, lease["address"], lease["hwaddr"], lease["hostname"])
	}
}

// missOlderKeaLeases names the files that Kea has moved older leases to, if they are not among those that were read
// before this one: hosts would be missing, or have an owner that they have no more.
func (s *source) missOlderKeaLeases(before []*source) {
	if s.keaLeases == nil {
		return
	}
	for _, path := range olderKeaLeases(s.path) {
		if file, err := os.Stat(path); err == nil && !isAmong(file, before) {
			s.leave(0, "", "Kea has put older leases into %s: import that too, before this", shown(path))
		}
	}
}

// olderKeaLeases returns the names of files with leases older than those in a file, as kea-lfc(8) has them: its result
// is .2. While it runs, .1 has what came after that, and .completed both.
func olderKeaLeases(path string) []string {
	if current, ok := strings.CutSuffix(path, ".1"); ok {
		return []string{current + ".2"}
	}
	return []string{path + ".2", path + ".1", path + ".completed"}
}

func isAmong(file os.FileInfo, sources []*source) bool {
	return slices.ContainsFunc(sources, func(s *source) bool {
		other, err := os.Stat(s.path)
		return err == nil && os.SameFile(file, other)
	})
}
