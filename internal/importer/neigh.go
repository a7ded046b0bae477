package importer

import "slices"

func isNeigh(root *node) bool {
	return slices.ContainsFunc(root.items, func(item *node) bool { return item.get("dst") != nil })
}

// readNeigh reads a neighbour table, as JSON or as text.
func (s *source) readNeigh() {
	if !s.beginsJSON() {
		s.readNeighTable()
		return
	}
	if root := s.parseJSON(); root != nil {
		s.readNeighJSON(root)
	}
}

// readNeighJSON reads the output of `ip -j neigh`, a list of neighbour entries.
func (s *source) readNeighJSON(root *node) {
	for _, n := range root.items {
		s.addNeighbour(n.line, neighbour{
			address: n.string("dst"), mac: n.string("lladdr"), dev: n.string("dev"), state: stateOf(n),
		})
	}
}

// addNeighbour adds a host behind an interface. An entry without an answer has no MAC, and a NOARP entry, such as one of
// a multicast group, is not a host.
func (s *source) addNeighbour(line int, n neighbour) {
	what := describe(n.address, n.mac)
	switch {
	case s.bridge != "" && n.dev != "" && n.dev != s.bridge:
		s.ignore(line, what, "it is on %s, not on %s", printable(n.dev), s.bridge)
	case slices.Contains([]string{"FAILED", incomplete, "NOARP"}, n.state):
		s.ignore(line, describe(n.address, withoutZeros(n.mac)), "no answer to ARP (state %s)", n.state)
	case n.kind != "":
		s.leaveOut(line, what, "its hardware address is of type %s, not of Ethernet", printable(n.kind))
	case n.mac == "":
		s.ignore(line, describe(n.address), "no MAC")
	default:
		s.within(s.onBridge(line, n.dev, 0), func() { s.addHost(line, n.address, n.mac, "") })
	}
}

// withoutZeros returns the MAC of an entry without an answer if it has one.
func withoutZeros(mac string) string {
	if mac == "00:00:00:00:00:00" {
		return ""
	}
	return mac
}

// stateOf returns the first state of a neighbour entry. There is usually only one.
func stateOf(n *node) string {
	if states := n.list("state"); len(states) > 0 {
		return states[0].text
	}
	return ""
}
