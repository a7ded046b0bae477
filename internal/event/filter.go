package event

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/responder"
)

// Filter selects events. An event must match every list that is not empty, and matches a list if it has one of its
// values.
type Filter struct {
	Networks  []string
	Ports     []string
	Addresses []netip.Addr // of the sender or the target
	Reasons   []responder.Reason
	Actions   []responder.Action
}

// FilterKeys are the keys that ParseFilter accepts.
var FilterKeys = []string{"network", "port", "address", "reason", "action"}

// ParseFilter parses a filter from lists of values by key. Its error has every mistake, one a line.
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
			return fmt.Errorf("unknown reason %q; want %s", value, listReasons())
		}
		f.Reasons = append(f.Reasons, reason)
	case "action":
		action, ok := responder.ActionOf(value)
		if !ok {
			return fmt.Errorf("unknown action %q; want drop, reply or pass", value)
		}
		f.Actions = append(f.Actions, action)
	default:
		return fmt.Errorf("unknown filter %q", key)
	}
	return nil
}

// Values returns the lists of values by key, from which ParseFilter makes the same filter.
func (f Filter) Values() map[string][]string {
	return map[string][]string{
		"network": f.Networks, "port": f.Ports,
		"address": texts(f.Addresses), "reason": texts(f.Reasons), "action": texts(f.Actions),
	}
}

func listReasons() string {
	var all []string
	for r := range responder.Reasons() {
		all = append(all, r.String())
	}
	return strings.Join(all, ", ")
}

func texts[T fmt.Stringer](list []T) []string {
	var words []string
	for _, v := range list {
		words = append(words, v.String())
	}
	return words
}

// Selects reports whether an event of these values matches.
func (f *Filter) Selects(network, port string, v responder.Verdict, sender responder.SenderIdentity) bool {
	return f.fitsVerdict(network, port, v) && f.fitsAddress(sender)
}

// HasNetwork reports whether events of a network may match.
func (f *Filter) HasNetwork(name string) bool { return fits(f.Networks, name) }

// fits parses the frame only if the filter has addresses.
func (f *Filter) fits(e *Event) bool {
	return f.fitsVerdict(e.Network, e.Port, e.Verdict) &&
		(len(f.Addresses) == 0 || f.fitsAddress(responder.SenderIdentityOf(e.Frame())))
}

func (f *Filter) fitsVerdict(network, port string, v responder.Verdict) bool {
	return fits(f.Networks, network) && fits(f.Ports, port) && fits(f.Reasons, v.Reason) && fits(f.Actions, v.Action)
}

func (f *Filter) fitsAddress(sender responder.SenderIdentity) bool {
	return fits(f.Addresses, sender.Sender) || fits(f.Addresses, sender.Target)
}

func fits[T comparable](wanted []T, value T) bool {
	return len(wanted) == 0 || slices.Contains(wanted, value)
}
