package guard

import "slices"

// Plan says which ports are guarded, and how. Ports are named as the interfaces are.
type Plan struct {
	// Guests' ARP is handed over and goes nowhere.
	Guests []string
	// Observed ports' ARP is handed over and goes on its way.
	Observed []string
	// Steered ports' ARP goes out of the fabric's TAP in the same bridge, and nowhere else.
	Steered []string
	// TAPs are the fabric's own.
	TAPs []string
	// Uplinks may send to guests.
	Uplinks []string
}

// A portSet is a named set of the table.
type portSet struct {
	name  string
	ports []string
}

// sets returns the plan as the table's sets, always in the same order.
func (p Plan) sets() []portSet {
	return []portSet{
		{setGuests, p.Guests},
		{setObserved, p.Observed},
		{setSteered, p.Steered},
		{setTAPs, p.TAPs},
		{setUplinks, p.Uplinks},
	}
}

// missing returns what is in want and not in have.
func missing(have, want []string) []string {
	in := make(map[string]bool, len(have))
	for _, name := range have {
		in[name] = true
	}
	return slices.DeleteFunc(slices.Clone(want), func(name string) bool { return in[name] })
}

// IsEmpty reports whether p guards nothing.
func (p Plan) IsEmpty() bool {
	return len(p.Guests)+len(p.Observed)+len(p.Steered) == 0
}
