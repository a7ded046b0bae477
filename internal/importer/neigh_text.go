package importer

import (
	"regexp"
	"slices"
	"strings"
)

// A neighbour is an entry of a neighbour table, in any of the forms in which programs print it.
type neighbour struct {
	address, mac, dev string // mac is empty without an answer, and dev if it is not stated
	state             string
	kind              string // the type of the hardware address if it is not Ethernet's
}

// The states of entries in which no host has answered, as `ip neigh` names them.
const incomplete = "INCOMPLETE"

// neighTitles matches the lines of arp(8) and /proc/net/arp that are no entries.
var neighTitles = regexp.MustCompile(`^(IP address\s+HW type|Address\s+HWtype|Entries:\s)`)

func isNeighLine(line string, words []string) bool {
	_, ok := parseNeighLine(words)
	return ok || neighTitles.MatchString(line)
}

// readNeighTable reads the neighbour table as `ip neigh`, `arp -n`, `arp -a` and /proc/net/arp print it.
func (s *source) readNeighTable() {
	for number, line := range s.lines() {
		if neighTitles.MatchString(line) {
			continue
		}
		n, ok := parseNeighLine(strings.Fields(line))
		if !ok {
			s.leaveOut(number, "", "want a neighbour entry, as `ip neigh` or `arp -n` prints it")
			continue
		}
		s.addNeighbour(number, n)
	}
}

// parseNeighLine returns the entry in a line.
func parseNeighLine(words []string) (n neighbour, ok bool) {
	for _, parse := range []func([]string) (neighbour, bool){
		parseIPNeigh, parseBriefNeigh, parseProcARP, parseARPTable, parseARPSentence,
	} {
		if n, ok := parse(words); ok {
			return n, true
		}
	}
	return neighbour{}, false
}

var neighState = regexp.MustCompile(`^(PERMANENT|NOARP|REACHABLE|STALE|NONE|INCOMPLETE|DELAY|PROBE|FAILED)$`)

// parseIPNeigh reads a line of `ip neigh`, which does not name the interface after `show dev br0`:
//
//	192.0.2.1 dev br0 lladdr 02:00:00:de:54:a8 router REACHABLE
func parseIPNeigh(words []string) (n neighbour, ok bool) {
	if !isAddress(words[0]) {
		return n, false
	}
	n.address = words[0]
	for i, word := range words[1:] {
		switch {
		case neighState.MatchString(word):
			n.state, ok = word, true
		case i+2 == len(words):
		case word == "dev":
			n.dev, ok = words[i+2], true
		case word == "lladdr":
			n.mac, ok = words[i+2], true
		}
	}
	return n, ok
}

// parseBriefNeigh reads a line of `ip -br neigh`:
//
//	192.0.2.1                               br0              02:00:00:de:54:a8
func parseBriefNeigh(words []string) (n neighbour, ok bool) {
	if len(words) != 3 || !isAddress(words[0]) || !isMAC(words[2]) {
		return n, false
	}
	return neighbour{address: words[0], dev: words[1], mac: words[2]}, true
}

// parseProcARP reads a line of /proc/net/arp:
//
//	192.0.2.1        0x1         0x2         02:00:00:de:54:a8     *        br0
func parseProcARP(words []string) (n neighbour, ok bool) {
	const ethernet, noFlags = "0x1", "0x0"
	if len(words) != 6 || !strings.HasPrefix(words[1], "0x") || !strings.HasPrefix(words[2], "0x") {
		return n, false
	}
	n = neighbour{address: words[0], mac: words[3], dev: words[5]}
	if words[1] != ethernet {
		n.kind = words[1]
	}
	if words[2] == noFlags {
		n.state = incomplete
	}
	return n, true
}

// arpTypes are names of arp(8) for the types of hardware addresses.
var arpTypes = []string{"ether", "loop", "infiniband", "ax25", "netrom", "arcnet", "dlci", "ppp", "hdlc", "sit", "fddi", "hippi",
	"irda", "ash", "strip", "tr", "rose", "x25", "eui64", "slip", "cslip", "slip6", "cslip6", "adaptive", "tunnel", "lapb"}

// parseARPTable reads a line of `arp -n`. A host's name is in the place of the address without -n:
//
//	192.0.2.1                ether   02:00:00:de:54:a8   C                     br0
//	192.0.2.9                        (incomplete)                              br0
func parseARPTable(words []string) (n neighbour, ok bool) {
	switch {
	case len(words) == 3 && words[1] == "(incomplete)":
		return neighbour{address: words[0], dev: words[2], state: incomplete}, true
	case len(words) < 5 || len(words) > 6 || !slices.Contains(arpTypes, words[1]):
		return n, false
	}
	n = neighbour{address: words[0], mac: words[2], dev: words[len(words)-1]}
	if words[1] != "ether" {
		n.kind = words[1]
	}
	return n, true
}

// parseARPSentence reads a line of `arp -a`, of Linux or another system:
//
//	? (192.0.2.1) at 02:00:00:de:54:a8 [ether] on br0
//	? (192.0.2.9) at <incomplete> on br0
func parseARPSentence(words []string) (n neighbour, ok bool) {
	if len(words) < 4 || words[2] != "at" || !strings.HasPrefix(words[1], "(") {
		return n, false
	}
	n = neighbour{address: strings.Trim(words[1], "()"), mac: words[3]}
	if strings.Contains(n.mac, "incomplete") {
		n.mac, n.state = "", incomplete
	}
	if on := slices.Index(words, "on"); on > 0 && on+1 < len(words) {
		n.dev = words[on+1]
	}
	if kind := words[min(4, len(words)-1)]; strings.HasPrefix(kind, "[") && kind != "[ether]" {
		n.kind = strings.Trim(kind, "[]")
	}
	return n, true
}
