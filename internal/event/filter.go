package event

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/responder"
)

// Filter says which events are wanted. What is empty in it fits every event; of a list one must fit.
type Filter struct {
	Networks  []string
	Ports     []string
	Addresses []netip.Addr // of the sender or the target
	Reasons   []responder.Reason
	Actions   []responder.Action
}

// FilterKeys are the keys of a filter that is written down.
var FilterKeys = []string{"network", "port", "address", "reason", "action"}

// ParseFilter reads a filter from values by key. Its error names all that is wrong, one problem a line.
func ParseFilter(values map[string][]string) (Filter, error) {
	var f Filter
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[key] {
			problems = append(problems, f.add(key, value))
		}
	}
	return f, errors.Join(problems...)
}

func (f *Filter) add(key, value string) error {
	switch key {
	case "network":
		f.Networks = append(f.Networks, value)
	case "port":
		f.Ports = append(f.Ports, value)
	case "address":
		addr, err := netip.ParseAddr(value)
		if err != nil || !addr.Is4() {
			return fmt.Errorf("%q is not an IPv4 address", value)
		}
		f.Addresses = append(f.Addresses, addr)
	case "reason":
		reason, ok := responder.ReasonOf(value)
		if !ok {
			return fmt.Errorf("there is no reason %q", value)
		}
		f.Reasons = append(f.Reasons, reason)
	case "action":
		action, ok := responder.ActionOf(value)
		if !ok {
			return fmt.Errorf("there is no action %q: want drop, reply or pass", value)
		}
		f.Actions = append(f.Actions, action)
	default:
		return fmt.Errorf("events can't be filtered by %q", key)
	}
	return nil
}

// Values writes the filter down, as ParseFilter reads it.
func (f Filter) Values() map[string][]string {
	return map[string][]string{
		"network": f.Networks, "port": f.Ports,
		"address": written(f.Addresses), "reason": written(f.Reasons), "action": written(f.Actions),
	}
}

func written[T fmt.Stringer](list []T) []string {
	var words []string
	for _, v := range list {
		words = append(words, v.String())
	}
	return words
}

func (f *Filter) fits(e *Event) bool {
	return fits(f.Networks, e.Network) && fits(f.Ports, e.Port) &&
		fits(f.Reasons, e.Verdict.Reason) && fits(f.Actions, e.Verdict.Action) && f.fitsAddress(e)
}

func (f *Filter) fitsAddress(e *Event) bool {
	if len(f.Addresses) == 0 {
		return true
	}
	claim := responder.ClaimOf(e.Frame())
	return fits(f.Addresses, claim.Sender) || fits(f.Addresses, claim.Target)
}

func fits[T comparable](wanted []T, value T) bool {
	return len(wanted) == 0 || slices.Contains(wanted, value)
}
