package imports

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/responder"
)

// A source is one file, and what has been found in it.
type source struct {
	path string // "-" for standard input
	name string // as it is shown
	data string
	root *node // of what is in JSON, once it is parsed
	now  time.Time
	// bridge is the one whose hosts are wanted, where a file tells those of several apart; empty: any
	bridge string

	hosts     []responder.Binding
	networks  []network
	leftOut   []LeftOut
	keaLeases map[string]keaLease // the last of each address; takeKeaLeases makes hosts of them
}

// A network is what a file says about the network that its hosts are in. What it does not say is zero.
type network struct {
	responder.Origin
	name, bridge string
	subnet       netip.Prefix
	gateway      netip.Addr
	isOneOfFile  bool // the file has hosts of several bridges, and --bridge takes those of one
}

// LeftOut is something in a file that is not in the registry.
type LeftOut struct {
	responder.Origin        // Line is 0 where it is the file as a whole
	What             string // a host, an address, an option; empty where it is all of the line
	Why              string
	// Expected says that nothing is amiss: it is of no host that has an IPv4 address now, or of none that is wanted.
	Expected bool
}

// String writes "file:line: what: why".
func (l LeftOut) String() string {
	where := l.File
	if l.Line > 0 {
		where = l.Origin.String()
	}
	if l.What == "" {
		return where + ": " + l.Why
	}
	return where + ": " + l.What + ": " + l.Why
}

func (s *source) at(line int) responder.Origin { return responder.Origin{File: s.name, Line: line} }

// leave notes that what stands in a line can't be taken, though somebody will miss it.
func (s *source) leave(line int, what, why string, args ...any) {
	s.leftOut = append(s.leftOut, LeftOut{Origin: s.at(line), What: what, Why: fmt.Sprintf(why, args...)})
}

// passOver notes that what stands in a line is no host with an IPv4 address.
func (s *source) passOver(line int, what, why string, args ...any) {
	s.leave(line, what, why, args...)
	s.leftOut[len(s.leftOut)-1].Expected = true
}

// sortLeftOut sorts what was left out by line: some formats are read to the end before their hosts are taken.
func (s *source) sortLeftOut() {
	slices.SortStableFunc(s.leftOut, func(a, b LeftOut) int { return cmp.Compare(a.Line, b.Line) })
}

// take takes a host, or says why not. It reports whether it has.
func (s *source) take(line int, address, mac, name string) bool {
	addr, err := parseAddress(address)
	if err == nil && addr.Is6() {
		s.passOver(line, describe(address, name), "this is an IPv6 address, and ARP is for IPv4")
		return false
	}
	if err != nil {
		s.leave(line, describe(mac, name), "%s", err)
		return false
	}
	owner, err := parseMAC(mac)
	if err != nil {
		s.leave(line, describe(address, name), "%s", err)
		return false
	}
	s.hosts = append(s.hosts, responder.Binding{
		First: addr, Last: addr, MAC: owner, Name: hostName(name), Origin: s.at(line),
	})
	return true
}

// inNetwork notes the network that the hosts of a file are in.
func (s *source) inNetwork(line int, name, bridge string) {
	if bridge == "" {
		s.passOver(line, describe("network", name), "it has no bridge of its own: --bridge says which its guests are on")
	}
	s.networks = append(s.networks, network{Origin: s.at(line), name: name, bridge: bridge})
}

// lines yields the lines with something in them, without comments that take a whole line, by number.
func (s *source) lines() iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		number := 0
		for line := range strings.Lines(s.data) {
			number++
			line = strings.TrimSpace(line)
			if line != "" && line[0] != '#' && !yield(number, line) {
				return
			}
		}
	}
}

// describe names a host in a message by what is known of it.
func describe(known ...string) string {
	var words []string
	for _, word := range known {
		if word != "" && word != "*" {
			words = append(words, printable(word))
		}
	}
	return strings.Join(words, " ")
}
