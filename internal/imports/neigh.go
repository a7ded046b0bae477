package imports

import "slices"

// readNeigh reads `ip -j neigh`: a list of neighbours. One that did not answer has no MAC, and one that is never
// asked, such as a multicast group, has none of its own.
func (s *source) readNeigh(root *node) {
	for _, n := range root.items {
		address, mac, dev := n.string("dst"), n.string("lladdr"), n.string("dev")
		switch state := stateOf(n); {
		case s.bridge != "" && dev != "" && dev != s.bridge:
			s.passOver(n.line, describe(address, mac), "it is on %s, not on %s", printable(dev), s.bridge)
		case slices.Contains([]string{"FAILED", "INCOMPLETE", "NOARP"}, state):
			s.passOver(n.line, describe(address, mac), "it has not answered ARP (state %s)", state)
		case mac == "":
			s.passOver(n.line, describe(address), "there is no MAC")
		default:
			s.takeNeighbour(n.line, address, mac, dev)
		}
	}
}

// takeNeighbour takes a host that is on an interface. `ip -j neigh show dev br0` leaves out which one that is.
func (s *source) takeNeighbour(line int, address, mac, dev string) {
	if s.take(line, address, mac, "") {
		s.networks = append(s.networks, network{Origin: s.at(line), bridge: dev, isOneOfFile: true})
	}
}

// stateOf returns the state that says most about a neighbour. There is one as a rule.
func stateOf(n *node) string {
	if states := n.list("state"); len(states) > 0 {
		return states[0].text
	}
	return ""
}
