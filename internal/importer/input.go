package importer

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// A source is one file and its contents.
type source struct {
	path     string // "-" for standard input
	name     string // for messages
	inFolder bool   // the folder was given, not the file
	data     string
	root     *node // of a parsed JSON file
	now      time.Time
	until    time.Time // when the hosts that are added now lose their addresses; the zero Time for never
	// bridge selects the hosts of one bridge in a file that has those of several; empty: all
	bridge string

	rest      network    // of hosts whose network the file does not state
	networks  []*network // that the file states
	current   *network   // that the next hosts belong to
	leftOut   []LeftOut
	keaLeases map[string]keaLease // the last one of each address; addKeaLeases turns them into hosts
}

func newSource(path string, o Options) *source {
	s := &source{path: path, name: displayName(path), now: o.Now, bridge: o.Bridge}
	s.current = &s.rest
	return s
}

// statedNetworks returns the networks that the file states or has hosts of.
func (s *source) statedNetworks() []*network {
	return slices.DeleteFunc(append([]*network{&s.rest}, s.networks...), func(n *network) bool {
		return !n.isStated()
	})
}

// LeftOut is an entry in a file that is not in the registry.
type LeftOut struct {
	registry.Origin        // Line is 0 for the whole file
	What            string // a host, an address or an option; empty for the whole line
	Why             string
	// Expected is true for an entry that nobody will miss: its host has no IPv4 address now, or was not asked for.
	Expected bool

	of *network // to which it belongs; nil for a file
}

// String writes "file:line: what: why".
func (l LeftOut) String() string {
	where := l.Source
	if l.Line > 0 {
		where = l.Origin.String()
	}
	if l.What == "" {
		return where + ": " + l.Why
	}
	return where + ": " + l.What + ": " + l.Why
}

func (s *source) at(line int) registry.Origin { return registry.Origin{Source: s.name, Line: line} }

// leaveOut records that an entry can't be imported although somebody will miss it.
func (s *source) leaveOut(line int, what, why string, args ...any) {
	left := LeftOut{Origin: s.at(line), What: what, Why: fmt.Sprintf(why, args...), of: s.current}
	s.leftOut = append(s.leftOut, left)
}

// ignore records that an entry is left out as expected.
func (s *source) ignore(line int, what, why string, args ...any) {
	s.leaveOut(line, what, why, args...)
	s.leftOut[len(s.leftOut)-1].Expected = true
}

// sortLeftOut sorts by line, because some formats are read to the end before their hosts are added.
func (s *source) sortLeftOut() {
	slices.SortStableFunc(s.leftOut, func(a, b LeftOut) int { return cmp.Compare(a.Line, b.Line) })
}

// addHost adds a host, or records why not. It reports whether it added the host.
func (s *source) addHost(line int, address, mac, name string) bool {
	addr, err := parseAddress(address)
	if err == nil && addr.Is6() {
		s.ignore(line, describe(address, name), "this is an IPv6 address, and ARP is for IPv4")
		return false
	}
	if err != nil {
		s.leaveOut(line, describe(mac, name), "%s", err)
		return false
	}
	owner, err := parseMAC(mac)
	if err != nil {
		s.leaveOut(line, describe(address, name), "%s", err)
		return false
	}
	s.current.hosts = append(s.current.hosts, Lease{registry.Binding{
		First: addr, Last: addr, MAC: owner, Name: hostName(name), Origin: s.at(line),
	}, s.until})
	return true
}

// lines yields the lines by number, without empty lines and comment lines.
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

// describe names a host in a message by its known properties.
func describe(known ...string) string {
	var words []string
	for _, word := range known {
		if word != "" && word != "*" {
			words = append(words, printable(word))
		}
	}
	return strings.Join(words, " ")
}
